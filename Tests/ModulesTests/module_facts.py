"""Writes what PyTorch's modules, optimizers and schedules do, as small files of facts that the tests beside this compare with.

    python module_facts.py Facts
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn, optim
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import lr_scheduler as schedules

torch.set_default_dtype(torch.float64)


def fact(tensor):
    """A tensor as its shape, type and elements."""
    tensor = tensor.detach()
    return {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "elements": [float(f"{x:.12g}") if tensor.dtype.is_floating_point else int(x) for x in tensor.flatten().tolist()],
    }


def state(module):
    return {name: fact(tensor) for name, tensor in module.state_dict().items()}


# Modules: parameters, a training call with its gradients, and a call after `eval()`.


def scrambled(module):
    """Other parameters and buffers than the initial ones, which are often 0 or 1."""
    generator = torch.Generator().manual_seed(7)
    for tensor in module.state_dict().values():
        if tensor.dtype.is_floating_point:
            values = 0.5 * torch.randn(tensor.shape, generator=generator)
            tensor.copy_(values.abs() + 0.5 if tensor.ndim == 1 else values)
    return module


def record(name, module, *inputs, call=None):
    generator = torch.Generator().manual_seed(11)
    call = call or (lambda module, *inputs: module(*inputs))
    module = scrambled(module).train()
    before = state(module)
    inputs = [x.requires_grad_() if x.dtype.is_floating_point else x for x in inputs]
    output = call(module, *inputs)
    tangent = torch.randn(output.shape, generator=generator)
    output.backward(tangent)
    entry = {
        "name": name,
        "state": before,
        "inputs": [fact(x) for x in inputs],
        "output": fact(output),
        "tangent": fact(tangent),
        "gradients": {name: fact(p.grad) for name, p in module.named_parameters()},
        "inputGradients": [None if x.grad is None else fact(x.grad) for x in inputs],
        "stateAfter": state(module),
    }
    entry["evalOutput"] = fact(call(module.eval(), *inputs))
    return entry


def modules():
    generator = torch.Generator().manual_seed(3)

    def x(*shape):
        return torch.randn(shape, generator=generator)

    mask = torch.tensor([[False, True, False], [False, False, True], [True, False, False]])
    padding = torch.tensor([[False, False, True], [False, False, False]])
    causal = nn.Transformer.generate_square_subsequent_mask(3)

    def attention(module, q, k, v):
        return module(q, k, v, need_weights=False)[0]

    def masked(module, x):
        return module(x, x, x, key_padding_mask=padding, attn_mask=mask, need_weights=False)[0]

    def causally(module, x):
        return module(x, x, x, attn_mask=causal, is_causal=True, need_weights=False)[0]

    return [
        record("linear", nn.Linear(3, 2), x(2, 3)),
        record("linear_without_bias", nn.Linear(3, 2, bias=False), x(3)),
        record("conv1d", nn.Conv1d(2, 4, 3, stride=2, padding=1, groups=2), x(2, 2, 5)),
        record("conv2d", nn.Conv2d(2, 3, (2, 3), stride=(1, 2), padding=(0, 1), dilation=(2, 1)), x(1, 2, 4, 5)),
        record("conv3d", nn.Conv3d(1, 2, 2, bias=False), x(1, 1, 3, 2, 3)),
        record(
            "conv_transpose2d", nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1, groups=2), x(1, 2, 2, 3)
        ),
        record("batch_norm1d", nn.BatchNorm1d(3), x(4, 3)),
        record("batch_norm1d_sequences", nn.BatchNorm1d(2, eps=1e-3, momentum=0.3), x(2, 2, 3)),
        record("batch_norm2d", nn.BatchNorm2d(2), x(2, 2, 2, 3)),
        record("batch_norm2d_plain", nn.BatchNorm2d(2, affine=False, track_running_stats=False), x(2, 2, 2, 2)),
        record("layer_norm", nn.LayerNorm(4), x(2, 4)),
        record("layer_norm_planes", nn.LayerNorm((2, 3), eps=1e-3, bias=False), x(2, 2, 3)),
        record("rms_norm", nn.RMSNorm(4), x(2, 4)),
        record("rms_norm_eps", nn.RMSNorm(4, eps=1e-2), x(2, 4)),
        record("group_norm", nn.GroupNorm(2, 4), x(2, 4, 2)),
        record("embedding", nn.Embedding(5, 3, padding_idx=1), torch.tensor([[0, 1], [4, 4]])),
        record("dropout", nn.Dropout(0.0), x(3)),
        record("sequential", nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh()), x(2, 3)),
        record("relu", nn.ReLU(), x(5)),
        record("leaky_relu", nn.LeakyReLU(0.2), x(5)),
        record("elu", nn.ELU(), x(5)),
        record("gelu", nn.GELU(), x(5)),
        record("gelu_tanh", nn.GELU(approximate="tanh"), x(5)),
        record("silu", nn.SiLU(), x(5)),
        record("tanh", nn.Tanh(), x(5)),
        record("sigmoid", nn.Sigmoid(), x(5)),
        record("softmax", nn.Softmax(1), x(2, 3)),
        record("log_softmax", nn.LogSoftmax(-1), x(2, 3)),
        record("flatten", nn.Flatten(), x(2, 2, 2)),
        record("max_pool2d", nn.MaxPool2d(2, stride=1, padding=1), x(1, 1, 3, 3)),
        record("avg_pool2d", nn.AvgPool2d((2, 1)), x(1, 1, 4, 2)),
        record("adaptive_avg_pool2d", nn.AdaptiveAvgPool2d((2, 3)), x(1, 1, 3, 4)),
        record("adaptive_max_pool2d", nn.AdaptiveMaxPool2d(2), x(1, 1, 3, 4)),
        record("attention", nn.MultiheadAttention(4, 2), x(2, 1, 4), x(3, 1, 4), x(3, 1, 4), call=attention),
        record("attention_masked", nn.MultiheadAttention(4, 2, batch_first=True), x(2, 3, 4), call=masked),
        record("attention_causal", nn.MultiheadAttention(4, 1, bias=False, batch_first=True), x(1, 3, 4), call=causally),
        record("encoder_layer", nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True), x(1, 2, 4)),
        record(
            "encoder_norm_first",
            nn.TransformerEncoder(
                nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, activation="gelu", batch_first=True, norm_first=True),
                2,
                norm=nn.LayerNorm(4),
                enable_nested_tensor=False,
            ),
            x(1, 2, 4),
        ),
    ]


# Initial parameters: what is known of their distribution.


def distributions():
    torch.manual_seed(5)
    created = {
        "linear": nn.Linear(300, 200),
        "conv2d": nn.Conv2d(64, 60, 3, groups=2),
        "conv_transpose2d": nn.ConvTranspose2d(60, 64, 3, groups=2),
        "embedding": nn.Embedding(300, 100),
        "batch_norm2d": nn.BatchNorm2d(4),
        "attention": nn.MultiheadAttention(120, 4),
        "encoder_layer": nn.TransformerEncoderLayer(120, 4, 200),
    }
    filled = {
        "kaiming_uniform": lambda w: nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
        "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, a=0.2),
        "xavier_uniform": lambda w: nn.init.xavier_uniform_(w, gain=nn.init.calculate_gain("tanh")),
        "xavier_normal": lambda w: nn.init.xavier_normal_(w),
        "normal": lambda w: nn.init.normal_(w, 1, 0.02),
        "uniform": lambda w: nn.init.uniform_(w, -0.5, 0.25),
        "trunc_normal": lambda w: nn.init.trunc_normal_(w, 0.5, 1, -0.5, 1),
    }

    def summary(tensor):
        tensor = tensor.detach().double()
        low, high, mean = tensor.min().item(), tensor.max().item(), tensor.mean().item()
        deviation = tensor.std(correction=0).item()
        return {"shape": list(tensor.shape), "low": low, "high": high, "mean": mean, "deviation": deviation}

    return {
        "modules": {
            name: {key: summary(value) for key, value in module.state_dict().items() if value.dtype.is_floating_point}
            for name, module in created.items()
        },
        "initializers": {name: summary(fill(torch.empty(150, 20, 3, 3))) for name, fill in filled.items()},
    }


# Optimizers: parameters after each of some steps by given gradients.


def gradients(count, generator):
    """Of a matrix and a vector; the vector gets none in the third step."""
    steps = []
    for step in range(count):
        steps.append([torch.randn(2, 3, generator=generator), None if step == 2 else torch.randn(3, generator=generator)])
    return steps


def optimized(name, make, count=6):
    generator = torch.Generator().manual_seed(13)
    parameters = [torch.randn(2, 3, generator=generator), torch.randn(3, generator=generator)]
    parameters = [nn.Parameter(p) for p in parameters]
    entry = {"name": name, "parameters": [fact(p) for p in parameters], "steps": []}
    optimizer = make(parameters)
    for step in gradients(count, generator):
        for parameter, gradient in zip(parameters, step):
            parameter.grad = gradient
        optimizer.step()
        entry["steps"].append(
            {"gradients": [g if g is None else fact(g) for g in step], "parameters": [fact(p) for p in parameters]}
        )
    return entry


def optimizers():
    def grouped(parameters):
        return optim.AdamW([{"params": parameters[:1], "weight_decay": 0.1}, {"params": parameters[1:], "weight_decay": 0.0, "lr": 0.05}], lr=0.02)

    return [
        optimized("sgd", lambda p: optim.SGD(p, lr=0.1)),
        optimized("sgd_decay", lambda p: optim.SGD(p, lr=0.1, weight_decay=0.2)),
        optimized("sgd_momentum", lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
        optimized("sgd_dampening", lambda p: optim.SGD(p, lr=0.1, momentum=0.8, dampening=0.4, weight_decay=0.1)),
        optimized("sgd_nesterov", lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
        optimized("adam", lambda p: optim.Adam(p, lr=0.05)),
        optimized("adam_decay", lambda p: optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
        optimized("adam_amsgrad", lambda p: optim.Adam(p, lr=0.05, betas=(0.5, 0.6), amsgrad=True)),
        optimized("adamw", lambda p: optim.AdamW(p, lr=0.05)),
        optimized("adamw_amsgrad", lambda p: optim.AdamW(p, lr=0.05, betas=(0.5, 0.6), weight_decay=0.3, amsgrad=True)),
        optimized("adamw_groups", grouped),
    ]


# Schedules: the rate at each step.


def scheduled(name, make, count, rate=0.1):
    optimizer = optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
    schedule = make(optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return {"name": name, "initial": rate, "rates": rates}


def learning_rates():
    def sequential(o):
        parts = [schedules.LinearLR(o, 0.1, 1.0, 4), schedules.CosineAnnealingLR(o, 6, 0.01), schedules.ExponentialLR(o, 0.9)]
        return schedules.SequentialLR(o, parts, milestones=[4, 10])

    def one_cycle(**options):
        return lambda o: schedules.OneCycleLR(o, 0.5, total_steps=20, cycle_momentum=False, **options)

    return [
        scheduled("step", lambda o: schedules.StepLR(o, 3, 0.5), 10),
        scheduled("multi_step", lambda o: schedules.MultiStepLR(o, [2, 5], 0.1), 8),
        scheduled("exponential", lambda o: schedules.ExponentialLR(o, 0.8), 6),
        scheduled("cosine", lambda o: schedules.CosineAnnealingLR(o, 8, 0.002), 12),
        scheduled("linear", lambda o: schedules.LinearLR(o, 0.25, 1.0, 4), 7),
        scheduled("sequential", sequential, 14),
        scheduled("one_cycle", one_cycle(), 20),
        scheduled("one_cycle_linear", one_cycle(pct_start=0.4, anneal_strategy="linear", div_factor=10, final_div_factor=100), 20),
        scheduled("lambda", lambda o: schedules.LambdaLR(o, lambda step: 1 / (1 + step)), 5),
    ]


# Clipping: gradients before and after.


def clippings():
    def clipped(name, clip):
        generator = torch.Generator().manual_seed(17)
        parameters = [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))]
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        before = [fact(p.grad) for p in parameters]
        norm = clip(parameters)
        return {
            "name": name,
            "before": before,
            "after": [fact(p.grad) for p in parameters],
            "norm": None if norm is None else norm.item(),
        }

    return [
        clipped("norm", lambda p: clip_grad_norm_(p, 0.5)),
        clipped("norm_not_reached", lambda p: clip_grad_norm_(p, 50.0)),
        clipped("norm_infinity", lambda p: clip_grad_norm_(p, 0.5, norm_type=float("inf"))),
        clipped("value", lambda p: clip_grad_value_(p, 0.25)),
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    facts = {
        "modules": modules(),
        "distributions": distributions(),
        "optimizers": optimizers(),
        "schedules": learning_rates(),
        "clippings": clippings(),
    }
    for name, content in facts.items():
        (folder / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
