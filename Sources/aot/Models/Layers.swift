import AOTAutograd

/// x · weight + bias
struct Linear: TensorTree {
  /// f32[inputs, outputs]
  var weight: Tensor
  /// f32[outputs]
  var bias: Tensor

  func callAsFunction(_ input: Tensor) throws -> Tensor { try input.matmul(weight) + bias }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Linear {
    try Linear(weight: transform(weight), bias: transform(bias))
  }
}

extension Linear {
  /// Weights are normal with a deviation of `gain / √inputs`, biases zero.
  init(_ inputs: Int, _ outputs: Int, gain: Double = 1, from random: inout SeededRandom) throws {
    weight = try .normal([inputs, outputs], deviation: gain / Double(inputs).squareRoot(), from: &random)
    bias = try .parameter(filledWith: 0, [outputs])
  }
}

/// A 3 × 3 convolution with a bias, the edges padded with zeros.
struct Convolution: TensorTree {
  /// f32[outputs, inputs, 3, 3]
  var weight: Tensor
  /// f32[outputs]
  var bias: Tensor

  func callAsFunction(_ input: Tensor) throws -> Tensor { try input.conv2d(weight, bias: bias, padding: 1) }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Convolution {
    try Convolution(weight: transform(weight), bias: transform(bias))
  }
}

extension Convolution {
  /// Weights are normal with He's deviation, `√(2 / (9 · inputs))`, biases zero.
  init(_ inputs: Int, _ outputs: Int, from random: inout SeededRandom) throws {
    let deviation = (2 / Double(9 * inputs)).squareRoot()
    weight = try .normal([outputs, inputs, 3, 3], deviation: deviation, from: &random)
    bias = try .parameter(filledWith: 0, [outputs])
  }
}

/// Each row normalized to mean 0 and deviation 1, then scaled and shifted.
struct LayerNorm: TensorTree {
  /// f32[width]
  var weight: Tensor
  /// f32[width]
  var bias: Tensor

  func callAsFunction(_ input: Tensor) throws -> Tensor {
    try input.layerNorm([weight.shape[0]], weight: weight, bias: bias)
  }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> LayerNorm {
    try LayerNorm(weight: transform(weight), bias: transform(bias))
  }
}

extension LayerNorm {
  init(_ width: Int) throws {
    weight = try .parameter(filledWith: 1, [width])
    bias = try .parameter(filledWith: 0, [width])
  }
}
