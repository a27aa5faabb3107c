"""Makes Models/: small exported models with what PyTorch computes of them, in the form that `aot conformance models` reads.

    python3 models.py        # needs torch and safetensors

Archives are packed anew without the traces that torch.export keeps for people, which are most of their bytes, except for
`plain`, which is as torch wrote it. Values are those of float64, rounded.
"""

import collections, copy, json, pathlib, re, shutil, zipfile

import torch
import torch.nn.functional as F
from torch._higher_order_ops import map as map_over, scan, while_loop
from safetensors.torch import save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent / "Models"


class Plain(nn.Module):
    """As torch writes archives: data descriptors, zip64 records, aligned payloads."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x, y):
        return F.mse_loss(self.layer(x).tanh(), y)


class Classifier(nn.Module):
    """A dynamic batch, buffers that training writes to, an in-place operator on a view."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.outer = nn.Linear(8, 3)

    def forward(self, x, y):
        hidden = self.norm(self.inner(x))
        hidden[:, :4].relu_()
        logits = self.outer(hidden)
        return F.cross_entropy(logits, y), logits


class Tied(nn.Module):
    """A weight under two names, a frozen one, buffers on one storage, one that is not persistent, an empty one, a constant."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.tensor([0.5, 1.0, 1.5, 2.0]), requires_grad=False)
        base = torch.arange(12.0) / 10
        self.register_buffer("low", base.as_strided((2, 2), (2, 1), 1))
        self.register_buffer("high", base.as_strided((2, 2), (4, 1), 6))
        self.register_buffer("temporary", torch.ones(4), persistent=False)
        self.register_buffer("nothing", torch.empty(0, 3))

    def forward(self, ids, pair, options, count, mode, none):
        hidden = self.embedding(ids) * self.scale * self.temporary + torch.tensor([1.0, 0.0, 0.0, -1.0])
        logits = self.head(hidden) * count + self.low.sum() - self.high.sum() + self.nothing.sum()
        loss = F.cross_entropy(logits, pair[0]) + (options["shift"] * pair[1]).sum()
        return loss, {"logits": logits, "twice": [loss * 2]}


class Branches(nn.Module):
    """Graphs inside of graphs, and sizes that depend on elements."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, flag, count):
        x = torch.cond(flag, lambda t: self.layer(t).sin(), lambda t: t * 2, (x,))
        with torch.no_grad():
            scale = x.abs().max() + 1
        n = count.item()
        torch._check(n >= 1)
        torch._check(n <= 3)
        y = self.layer(x)
        return (y / scale).sum() * torch.ones(n, dtype=x.dtype).sum() + y[x[:, 0] > 0].pow(2).sum() + y[torch.where(x[:, 1] > 0)].sum()


class Loops(nn.Module):
    """A loop with a condition, a map and a scan."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x, y):
        _, scale = while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s * 2), (torch.zeros((), dtype=torch.long), y.mean()))
        mapped = map_over(lambda row, weight: torch.tanh(row @ weight), x, self.layer.weight)
        carried, rows = scan(lambda c, row: (c * 0.5 + row, self.layer(c) * row), torch.zeros(2, 3, dtype=x.dtype), mapped, dim=0)
        return F.mse_loss(rows, y) + carried.sum() * scale


class Functional(nn.Module):
    """Decomposed, so that writes are outputs: to a buffer, and to an input through a view."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x, state):
        y = self.layer(x).tanh() - self.mean
        self.mean.mul_(0.9).add_(y.detach().mean(0) * 0.1)
        state[0].copy_(y.detach()[0])
        return (y * state.sum()).mean()


class Joint(nn.Module):
    """Loss and gradients in one program."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x, y):
        return F.cross_entropy(self.layer(x).relu(), y)


class Sizes(nn.Module):
    """Arithmetic on symbolic sizes, one of which is twice a symbol."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        half = x.shape[0] // 2
        y = self.layer(x.view(half, 2, -1)[:, 0])
        return (y.sum() / torch.sym_float(half)).tanh() + x.new_zeros(half + 1).sum(), y.reshape(-1)


batch, rows = torch.export.Dim("batch", min=2, max=16), torch.export.Dim("half", min=2, max=8)
MODELS = {
    "plain": (Plain, lambda: (torch.randn(4, 3), torch.randn(4, 2)), None, []),
    "classifier": (Classifier, lambda n=4: (torch.randn(n, 6), torch.randint(0, 3, (n,))), ({0: batch}, {0: batch}), [2, 5]),
    "tied": (
        Tied,
        lambda: (torch.randint(0, 5, (3,)), (torch.randint(0, 5, (3,)), torch.randn(2)), {"shift": torch.randn(2)}, 3, "mean", None),
        None, []),
    "branches": (Branches, lambda: (torch.randn(2, 4), torch.tensor(True), torch.tensor(2)), None, []),
    "loops": (Loops, lambda: (torch.randn(4, 2, 3), torch.randn(4, 2, 3)), None, []),
    "functional": (Functional, lambda: (torch.randn(2, 3), torch.randn(2, 3)), None, []),
    "joint": (Joint, lambda: (torch.randn(4, 3), torch.randint(0, 2, (4,))), None, []),
    "sizes": (Sizes, lambda n=8: (torch.randn(n, 2),), ({0: 2 * rows},), [12]),
}


def tensors(tree):
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def cast(tree, dtype):
    def one(leaf):
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return leaf.to(dtype).clone() if leaf.is_floating_point() else leaf.clone()

    return torch.utils._pytree.tree_map(one, tree, is_leaf=lambda x: x is None)


def plain(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous().clone()


def difference(a, b):
    return float((a.detach().double() - b.detach().double()).abs().max()) if a.numel() else 0.0


def run(model, arguments, dtype):
    model = copy.deepcopy(model).to(dtype)
    arguments = cast(arguments, dtype)
    results = tensors(model(*arguments))
    results[0].backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return results, gradients, dict(model.named_buffers()), tensors(arguments)


def record(model, arguments, prefix, expected):
    single, double = run(model, arguments, torch.float32), run(model, arguments, torch.float64)
    before = dict(copy.deepcopy(model).double().named_buffers())
    for index, result in enumerate(double[0]):
        expected[f"{prefix}out/{index}"] = plain(result)
    for name, gradient in double[1].items():
        expected[f"{prefix}grad/{name}"] = plain(gradient)
    for name, buffer in double[2].items():
        if not torch.equal(buffer, before[name]):
            expected[f"{prefix}buffer/{name}"] = plain(buffer)
    for index, (after, given) in enumerate(zip(double[3], tensors(cast(arguments, torch.float64)))):
        if not torch.equal(after, given):
            expected[f"{prefix}input_after/{index}"] = plain(after)
    return {
        "outputs": [{"max_abs_diff_f32": difference(a, b)} for a, b in zip(single[0], double[0])],
        "grads": {name: {"max_abs_diff_f32": difference(single[1][name], double[1][name])} for name in double[1]},
    }


def train(model, arguments, expected):
    losses, states = {}, {}
    for dtype in (torch.float32, torch.float64):
        trained = copy.deepcopy(model).to(dtype)
        optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
        losses[dtype] = []
        for _ in range(5):
            loss = tensors(trained(*cast(arguments, dtype)))[0]
            losses[dtype].append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        states[dtype] = {
            **{f"sgd5/{name}": p.detach().clone() for name, p in trained.named_parameters()},
            **{f"sgd5_buffer/{name}": b.clone() for name, b in trained.named_buffers()}}
        losses[dtype].append(tensors(trained(*cast(arguments, dtype)))[0].item())
    for name, tensor in states[torch.float64].items():
        expected[name] = plain(tensor)
    return {
        "lr": 0.1, "momentum": 0.9, "steps": 5, "losses_f32": losses[torch.float32], "losses_f64": losses[torch.float64],
        "max_param_diff_f32": max(difference(states[torch.float32][name], states[torch.float64][name])
                                  for name in states[torch.float64] if name.startswith("sgd5/"))}


def slim(path):
    """Packs an archive anew without metadata of nodes and sample inputs."""

    def stripped(value):
        if isinstance(value, dict):
            return {k: {} if k == "metadata" else stripped(v) for k, v in value.items()}
        return [stripped(v) for v in value] if isinstance(value, list) else value

    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            if name.endswith("models/model.json"):
                data = json.dumps(stripped(json.loads(data)), separators=(",", ":")).encode()
            if name.endswith("sample_inputs/model.pt"):
                data = b""
            archive.writestr(zipfile.ZipInfo(name), data)


def export(name, model, arguments, shapes):
    program = torch.export.export(copy.deepcopy(model), arguments, dynamic_shapes=shapes, strict=name == "joint")
    if name == "functional":
        program = program.run_decompositions({})
    if name == "joint":
        from torch.export.experimental import _export_forward_backward
        program = _export_forward_backward(program)
    return program


for name, (make, inputs, shapes, batches) in MODELS.items():
    torch.manual_seed(1)
    model, arguments = make().train(), inputs()
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    program = export(name, model, arguments, shapes)
    for node in program.graph.nodes:
        # Where this was run is nobody's matter.
        node.meta.pop("from_node", None)
        if node.meta.get("stack_trace"):
            node.meta["stack_trace"] = re.sub(r'File "[^"]*/', 'File "', node.meta["stack_trace"])
    torch.export.save(program, folder / f"{name}.pt2")
    if name != "plain":
        slim(folder / f"{name}.pt2")
    operators = collections.Counter(
        str(node.target) for graph in program.graph_module.modules() if hasattr(graph, "graph")
        for node in graph.graph.nodes if node.op == "call_function" and hasattr(node.target, "_schema"))
    expected = {f"state/{key}": value.detach().contiguous().clone() for key, value in program.state_dict.items()}
    facts = {
        "name": name, "loss_output_index": 0, "parameters": sum(p.numel() for p in model.parameters()),
        "export": {"ops": dict(operators)}, "eager": record(model, arguments, "", expected)}
    if name != "joint":
        facts["sgd"] = train(model, arguments, expected)
    given, facts["batches"] = {}, {}
    for size in batches:
        torch.manual_seed(size)
        others = inputs(size)
        facts["batches"][str(size)] = record(model, others, f"b{size}/", expected)
        given.update({f"b{size}/in/{i}": t for i, t in enumerate(tensors(others))})
    save_file({**{f"in/{i}": t for i, t in enumerate(tensors(arguments))}, **given}, folder / "inputs.safetensors")
    save_file(expected, folder / "expected.safetensors")
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
