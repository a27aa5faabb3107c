import Modules
import XCTest

/// Modules with given parameters do what PyTorch's do: outputs, gradients, buffers, in training and after `eval()`, eagerly and
/// compiled. That a state can be loaded at all says that names are PyTorch's.
final class ModuleFactTests: XCTestCase {
  private struct Subject {
    let module: Module
    let call: ([Tensor]) throws -> Tensor

    init(_ layer: some Layer) {
      module = layer
      call = { try layer($0[0]) }
    }

    init<M: Module>(_ module: M, _ call: @escaping (M, [Tensor]) throws -> Tensor) {
      self.module = module
      self.call = { try call(module, $0) }
    }
  }

  private static let subjects: [String: @Sendable () throws -> Subject] = [
    "linear": { .init(try Linear(3, 2, dtype: .float64)) },
    "linear_without_bias": { .init(try Linear(3, 2, bias: false, dtype: .float64)) },
    "conv1d": { .init(try Conv1d(2, 4, kernelSize: 3, stride: 2, padding: 1, groups: 2, dtype: .float64)) },
    "conv2d": {
      .init(
        try Conv2d(2, 3, kernelSize: [2, 3], stride: [1, 2], padding: [0, 1], dilation: [2, 1], dtype: .float64))
    },
    "conv3d": { .init(try Conv3d(1, 2, kernelSize: 2, bias: false, dtype: .float64)) },
    "conv_transpose2d": {
      .init(
        try ConvTranspose2d(
          2, 2, kernelSize: 3, stride: 2, padding: 1, outputPadding: 1, groups: 2, dtype: .float64))
    },
    "batch_norm1d": { .init(try BatchNorm1d(3, dtype: .float64)) },
    "batch_norm1d_sequences": { .init(try BatchNorm1d(2, eps: 1e-3, momentum: 0.3, dtype: .float64)) },
    "batch_norm2d": { .init(try BatchNorm2d(2, dtype: .float64)) },
    "batch_norm2d_plain": {
      .init(try BatchNorm2d(2, affine: false, trackRunningStats: false, dtype: .float64))
    },
    "layer_norm": { .init(try LayerNorm(4, dtype: .float64)) },
    "layer_norm_planes": { .init(try LayerNorm([2, 3], eps: 1e-3, bias: false, dtype: .float64)) },
    "rms_norm": { .init(try RMSNorm(4, dtype: .float64)) },
    "rms_norm_eps": { .init(try RMSNorm(4, eps: 1e-2, dtype: .float64)) },
    "group_norm": { .init(try GroupNorm(groups: 2, channels: 4, dtype: .float64)) },
    "embedding": { .init(try Embedding(5, 3, paddingIndex: 1, dtype: .float64)) },
    "dropout": { .init(try Dropout(0)) },
    "sequential": {
      .init(Sequential(try Linear(3, 4, dtype: .float64), ReLU(), try Linear(4, 2, dtype: .float64), Tanh()))
    },
    "relu": { .init(ReLU()) },
    "leaky_relu": { .init(LeakyReLU(negativeSlope: 0.2)) },
    "elu": { .init(ELU()) },
    "gelu": { .init(GELU()) },
    "gelu_tanh": { .init(GELU(approximate: .tanh)) },
    "silu": { .init(SiLU()) },
    "tanh": { .init(Tanh()) },
    "sigmoid": { .init(Sigmoid()) },
    "softmax": { .init(Softmax(1)) },
    "log_softmax": { .init(LogSoftmax(-1)) },
    "flatten": { .init(Flatten()) },
    "max_pool2d": { .init(try MaxPool2d(2, stride: 1, padding: 1)) },
    "avg_pool2d": { .init(try AvgPool2d([2, 1])) },
    "adaptive_avg_pool2d": { .init(try AdaptiveAvgPool2d([2, 3])) },
    "adaptive_max_pool2d": { .init(try AdaptiveMaxPool2d(2)) },
    "attention": {
      .init(try MultiheadAttention(4, heads: 2, dtype: .float64)) { try $0($1[0], $1[1], $1[2]) }
    },
    "attention_masked": {
      .init(try MultiheadAttention(4, heads: 2, batchFirst: true, dtype: .float64)) { attention, inputs in
        let mask = try Tensor([false, true, false, false, false, true, true, false, false], shape: [3, 3])
        let padding = try Tensor([false, false, true, false, false, false], shape: [2, 3])
        return try attention(inputs[0], mask: mask, keyPaddingMask: padding)
      }
    },
    "attention_causal": {
      .init(try MultiheadAttention(4, heads: 1, bias: false, batchFirst: true, dtype: .float64)) {
        try $0($1[0], isCausal: true)
      }
    },
    "encoder_layer": {
      .init(
        try TransformerEncoderLayer(4, heads: 2, feedForward: 6, dropout: 0, batchFirst: true, dtype: .float64))
    },
    "encoder_norm_first": {
      .init(
        TransformerEncoder(
          try (0..<2).map { _ in
            try TransformerEncoderLayer(
              4, heads: 2, feedForward: 6, dropout: 0, activation: .gelu, batchFirst: true, normFirst: true,
              dtype: .float64)
          }, norm: try LayerNorm(4, dtype: .float64)))
    },
  ]

  func testEveryCaseHasASubject() throws {
    let cases = try Facts.read("modules", as: [Facts.ModuleCase].self)
    XCTAssertEqual(cases.map(\.name).sorted(), Self.subjects.keys.sorted())
  }

  func testOutputsGradientsAndBuffersAreThoseOfPyTorch() throws {
    for fact in try Facts.read("modules", as: [Facts.ModuleCase].self) {
      for isCompiled in [false, true] {
        let name = fact.name + (isCompiled ? ", compiled" : ", eager")
        let subject = try XCTUnwrap(Self.subjects[fact.name])()
        try check(fact, subject, isCompiled: isCompiled, name)
      }
    }
  }

  private func check(
    _ fact: Facts.ModuleCase, _ subject: Subject, isCompiled: Bool, _ name: String
  ) throws {
    try subject.module.load(
      StateDict(fact.state.sorted { $0.key < $1.key }.map { NamedTensor($0.key, try $0.value.tensor()) }))
    let compiled = aotFunction { (inputs: [Tensor]) in try subject.call(inputs) }
    let call = { (inputs: [Tensor]) in isCompiled ? try compiled(inputs) : try subject.call(inputs) }

    let inputs = try fact.inputs.map { input in
      let tensor = try input.tensor()
      return tensor.dtype.isFloatingPoint ? try tensor.requiringGrad() : tensor
    }
    let output = try call(inputs)
    try assertClose(output, fact.output, "\(name), output")
    try output.backward(gradient: fact.tangent.tensor())
    let parameters = subject.module.namedParameters
    XCTAssertEqual(parameters.map(\.name).sorted(), fact.gradients.keys.sorted(), name)
    for parameter in parameters {
      try assertClose(
        parameter.tensor.grad, XCTUnwrap(fact.gradients[parameter.name]), "\(name), gradient of \(parameter.name)")
    }
    for (index, (input, gradient)) in zip(inputs, fact.inputGradients).enumerated() {
      if let gradient { try assertClose(input.grad, gradient, "\(name), gradient of input \(index)") }
    }
    for entry in try subject.module.stateDict {
      try assertClose(entry.tensor, XCTUnwrap(fact.stateAfter[entry.name]), "\(name), \(entry.name) afterwards")
    }
    subject.module.eval()
    try assertClose(call(inputs), fact.evalOutput, "\(name), output after eval()")
  }
}
