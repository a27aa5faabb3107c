import AOTAutograd

/// A classifier of digits.
protocol DigitsModel: TensorTree {
  /// - Parameter random: What the initial parameters are drawn from.
  init(from random: inout SeededRandom) throws

  /// - Parameter images: f32[n, 64]
  /// - Returns: f32[n, 10], the logits of the classes.
  func callAsFunction(_ images: Tensor) throws -> Tensor
}

/// How well a model did on some images.
struct DigitsScore: TensorTree {
  /// f32[], the mean cross-entropy in nats.
  var loss: Tensor
  /// i64[], how many images were told right.
  var correctCount: Tensor

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> DigitsScore {
    try DigitsScore(loss: transform(loss), correctCount: transform(correctCount))
  }
}

extension DigitsModel {
  /// - Parameters:
  ///   - images: f32[n, 64]
  ///   - labels: i64[n]
  func score(_ images: Tensor, _ labels: Tensor) throws -> DigitsScore {
    let logits = try self(images)
    return DigitsScore(
      loss: try logits.crossEntropyLoss(labels), correctCount: try logits.argmax(1).eq(labels).sum())
  }
}

/// 64 → 128 → 128 → 10 with ReLU between.
struct DigitsMLP: DigitsModel {
  var first, second, last: Linear

  func callAsFunction(_ images: Tensor) throws -> Tensor { try last(second(first(images).relu()).relu()) }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> DigitsMLP {
    try DigitsMLP(
      first: first.mapTensors(transform), second: second.mapTensors(transform), last: last.mapTensors(transform))
  }
}

extension DigitsMLP {
  init(from random: inout SeededRandom) throws {
    first = try Linear(Digits.pixelCount, 128, gain: 2.squareRoot(), from: &random)
    second = try Linear(128, 128, gain: 2.squareRoot(), from: &random)
    last = try Linear(128, Digits.classCount, from: &random)
  }
}

/// Two convolutions, each with ReLU and a pool that halves both sides, and a linear layer.
struct DigitsConvnet: DigitsModel {
  var first, second: Convolution
  var last: Linear

  func callAsFunction(_ images: Tensor) throws -> Tensor {
    let squares = try images.view([images.shape[0], 1, 8, 8])
    let halves = try first(squares).relu().maxPool2d(2)
    let quarters = try second(halves).relu().maxPool2d(2)
    return try last(quarters.flatten(from: 1))
  }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> DigitsConvnet {
    try DigitsConvnet(
      first: first.mapTensors(transform), second: second.mapTensors(transform), last: last.mapTensors(transform))
  }
}

extension DigitsConvnet {
  init(from random: inout SeededRandom) throws {
    first = try Convolution(1, 16, from: &random)
    second = try Convolution(16, 32, from: &random)
    last = try Linear(32 * 2 * 2, Digits.classCount, from: &random)
  }
}
