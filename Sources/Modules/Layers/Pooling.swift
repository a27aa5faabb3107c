import AOTAutograd

/// The largest element in each window of an image: `torch.nn.MaxPool2d`.
public final class MaxPool2d: Module, Layer {
  public let kernelSize, stride, padding, dilation: [Int]

  /// - Parameter stride: The window's size where nil.
  /// - Throws: `ModuleError` for a size that makes no sense.
  public init(
    _ kernelSize: some PerDimension, stride: (any PerDimension)? = nil, padding: some PerDimension = 0,
    dilation: some PerDimension = 1
  ) throws {
    self.kernelSize = try kernelSize.checked(2, atLeast: 1, "kernelSize of MaxPool2d")
    self.stride = try stride?.checked(2, atLeast: 1, "stride of MaxPool2d") ?? self.kernelSize
    self.padding = try padding.checked(2, atLeast: 0, "padding of MaxPool2d")
    self.dilation = try dilation.checked(2, atLeast: 1, "dilation of MaxPool2d")
  }

  /// - Parameter input: [n, channels, height, width], or without n.
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try OperatorLibrary.maxPool2d(
      .reference(input), Value(kernelSize), Value(stride), Value(padding), Value(dilation), .bool(false))
  }

  public override var settings: String {
    "\(kernelSize), stride: \(stride), padding: \(padding), dilation: \(dilation)"
  }
}

/// The mean of each window of an image, edges counted as 0: `torch.nn.AvgPool2d`.
public final class AvgPool2d: Module, Layer {
  public let kernelSize, stride, padding: [Int]

  /// - Parameter stride: The window's size where nil.
  /// - Throws: `ModuleError` for a size that makes no sense.
  public init(
    _ kernelSize: some PerDimension, stride: (any PerDimension)? = nil, padding: some PerDimension = 0
  ) throws {
    self.kernelSize = try kernelSize.checked(2, atLeast: 1, "kernelSize of AvgPool2d")
    self.stride = try stride?.checked(2, atLeast: 1, "stride of AvgPool2d") ?? self.kernelSize
    self.padding = try padding.checked(2, atLeast: 0, "padding of AvgPool2d")
  }

  /// - Parameter input: [n, channels, height, width], or without n.
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try OperatorLibrary.avgPool2d(.reference(input), Value(kernelSize), Value(stride), Value(padding))
  }

  public override var settings: String { "\(kernelSize), stride: \(stride), padding: \(padding)" }
}

/// An image cut into windows such that the result has a given size, and the mean of each: `torch.nn.AdaptiveAvgPool2d`.
public final class AdaptiveAvgPool2d: Module, Layer {
  public let outputSize: [Int]

  /// - Throws: `ModuleError` for a size that makes no sense.
  public init(_ outputSize: some PerDimension) throws {
    self.outputSize = try outputSize.checked(2, atLeast: 1, "outputSize of AdaptiveAvgPool2d")
  }

  /// - Parameter input: [n, channels, height, width], or without n.
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try input.adaptiveAvgPool2d(outputSize[0], outputSize[1])
  }

  public override var settings: String { "\(outputSize)" }
}

/// An image cut into windows such that the result has a given size, and the largest element of each:
/// `torch.nn.AdaptiveMaxPool2d`.
public final class AdaptiveMaxPool2d: Module, Layer {
  public let outputSize: [Int]

  /// - Throws: `ModuleError` for a size that makes no sense.
  public init(_ outputSize: some PerDimension) throws {
    self.outputSize = try outputSize.checked(2, atLeast: 1, "outputSize of AdaptiveMaxPool2d")
  }

  /// - Parameter input: [n, channels, height, width], or without n.
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try input.adaptiveMaxPool2d(outputSize[0], outputSize[1])
  }

  public override var settings: String { "\(outputSize)" }
}
