import Modules

/// A classifier of digits: of f32[n, 64] it makes f32[n, 10], the logits of the classes.
protocol DigitsModel: Layer {
  init(classCount: Int) throws
}

extension DigitsModel {
  /// How well the model does on some images.
  ///
  /// - Parameters:
  ///   - images: f32[n, 64]
  ///   - labels: i64[n]
  /// - Returns: The mean cross-entropy in nats, f32[], and how many images were told right, i64[].
  func score(_ images: Tensor, _ labels: Tensor) throws -> (loss: Tensor, correctCount: Tensor) {
    let logits = try self(images)
    return (try logits.crossEntropyLoss(labels), try logits.argmax(1).eq(labels).sum())
  }
}

/// 64 → 128 → 128 → 10 with ReLU between.
final class DigitsMLP: Module, DigitsModel {
  let first, second, last: Linear

  init(classCount: Int) throws {
    first = try Linear(Digits.pixelCount, 128)
    second = try Linear(128, 128)
    last = try Linear(128, classCount)
  }

  func callAsFunction(_ images: Tensor) throws -> Tensor { try last(second(first(images).relu()).relu()) }
}

/// Two convolutions, each with ReLU and a pool that halves both sides, and a linear layer.
final class DigitsConvnet: Module, DigitsModel {
  let first, second: Conv2d
  let last: Linear

  init(classCount: Int) throws {
    first = try Conv2d(1, 16, kernelSize: 3, padding: 1)
    second = try Conv2d(16, 32, kernelSize: 3, padding: 1)
    last = try Linear(32 * 2 * 2, classCount)
  }

  func callAsFunction(_ images: Tensor) throws -> Tensor {
    let squares = try images.view([images.shape[0], 1, 8, 8])
    let halves = try first(squares).relu().maxPool2d(2)
    let quarters = try second(halves).relu().maxPool2d(2)
    return try last(quarters.flatten(from: 1))
  }
}
