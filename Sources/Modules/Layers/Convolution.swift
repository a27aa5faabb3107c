import AOTAutograd

/// What convolutions of one, two and three dimensions have in common.
public class Convolution: Module, Layer {
  /// [outputs, inputs / groups, window…]
  @Parameter public final var weight: Tensor
  /// [outputs]
  @Parameter public final var bias: Tensor?

  public let stride, padding, dilation: [Int]
  public let groups: Int

  fileprivate init(
    _ inputs: Int, _ outputs: Int, rank: Int, kernelSize: some PerDimension, stride: some PerDimension,
    padding: some PerDimension, dilation: some PerDimension, groups: Int, bias: Bool, dtype: DType
  ) throws {
    let layer = "Conv\(rank)d"
    guard groups > 0, inputs.isMultiple(of: groups), outputs.isMultiple(of: groups) else {
      throw ModuleError(
        .invalidSetting, "\(layer): \(inputs) inputs and \(outputs) outputs cannot be divided into \(groups) groups")
    }
    let window = try kernelSize.checked(rank, atLeast: 1, "kernelSize of \(layer)")
    let weight = try Tensor.empty(sizes: [outputs, inputs / groups] + window, of: layer, dtype)
    let initial = try Fans(weight).layerDefault
    try initial.fill(weight)
    self.stride = try stride.checked(rank, atLeast: 1, "stride of \(layer)")
    self.padding = try padding.checked(rank, atLeast: 0, "padding of \(layer)")
    self.dilation = try dilation.checked(rank, atLeast: 1, "dilation of \(layer)")
    self.groups = groups
    self.weight = weight
    self.bias = bias ? try initial([outputs], dtype: dtype) : nil
  }

  fileprivate class var definition: OperatorDefinition { OperatorLibrary.conv2d }

  /// - Parameter input: [n, inputs, sizes…], or without n.
  /// - Returns: [n, outputs, sizes…]
  public final func callAsFunction(_ input: Tensor) throws -> Tensor {
    try Self.definition(
      .reference(input), .reference(weight), bias.map { .reference($0) } ?? .none, Value(stride), Value(padding),
      Value(dilation), Value(groups))
  }

  public final override var settings: String {
    let shape = weight.shape
    return "\(shape[1] * groups), \(shape[0]), kernelSize: \(Array(shape.dropFirst(2))), stride: \(stride), "
      + "padding: \(padding), dilation: \(dilation), groups: \(groups), bias: \(bias != nil)"
  }
}

/// Convolution of sequences: `torch.nn.Conv1d`.
public final class Conv1d: Convolution {
  /// Weight and bias are uniform with bound `1 / √(window · inputs / groups)`.
  ///
  /// - Throws: `ModuleError` for a size that makes no sense.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: some PerDimension, stride: some PerDimension = 1,
    padding: some PerDimension = 0, dilation: some PerDimension = 1, groups: Int = 1, bias: Bool = true,
    dtype: DType = .float32
  ) throws {
    try super.init(
      inputs, outputs, rank: 1, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation,
      groups: groups, bias: bias, dtype: dtype)
  }

  fileprivate override class var definition: OperatorDefinition { OperatorLibrary.conv1d }
}

/// Convolution of images: `torch.nn.Conv2d`.
public final class Conv2d: Convolution {
  /// As for `Conv1d`.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: some PerDimension, stride: some PerDimension = 1,
    padding: some PerDimension = 0, dilation: some PerDimension = 1, groups: Int = 1, bias: Bool = true,
    dtype: DType = .float32
  ) throws {
    try super.init(
      inputs, outputs, rank: 2, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation,
      groups: groups, bias: bias, dtype: dtype)
  }
}

/// Convolution of volumes: `torch.nn.Conv3d`.
public final class Conv3d: Convolution {
  /// As for `Conv1d`.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: some PerDimension, stride: some PerDimension = 1,
    padding: some PerDimension = 0, dilation: some PerDimension = 1, groups: Int = 1, bias: Bool = true,
    dtype: DType = .float32
  ) throws {
    try super.init(
      inputs, outputs, rank: 3, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation,
      groups: groups, bias: bias, dtype: dtype)
  }

  fileprivate override class var definition: OperatorDefinition { OperatorLibrary.conv3d }
}

/// Transposed convolution of images, which makes them larger: `torch.nn.ConvTranspose2d`.
public final class ConvTranspose2d: Module, Layer {
  /// [inputs, outputs / groups, height, width]
  @Parameter public var weight: Tensor
  /// [outputs]
  @Parameter public var bias: Tensor?

  public let stride, padding, outputPadding, dilation: [Int]
  public let groups: Int

  /// Weight and bias are uniform with bound `1 / √(window · outputs / groups)`.
  ///
  /// - Parameter outputPadding: Added to one side of each dimension of the result: a stride leaves open which of several sizes
  ///   that has.
  /// - Throws: `ModuleError` for a size that makes no sense.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: some PerDimension, stride: some PerDimension = 1,
    padding: some PerDimension = 0, outputPadding: some PerDimension = 0, groups: Int = 1, bias: Bool = true,
    dilation: some PerDimension = 1, dtype: DType = .float32
  ) throws {
    let layer = "ConvTranspose2d"
    guard groups > 0, inputs.isMultiple(of: groups), outputs.isMultiple(of: groups) else {
      throw ModuleError(
        .invalidSetting, "\(layer): \(inputs) inputs and \(outputs) outputs cannot be divided into \(groups) groups")
    }
    let window = try kernelSize.checked(2, atLeast: 1, "kernelSize of \(layer)")
    let weight = try Tensor.empty(sizes: [inputs, outputs / groups] + window, of: layer, dtype)
    let initial = try Fans(weight).layerDefault
    try initial.fill(weight)
    self.stride = try stride.checked(2, atLeast: 1, "stride of \(layer)")
    self.padding = try padding.checked(2, atLeast: 0, "padding of \(layer)")
    self.outputPadding = try outputPadding.checked(2, atLeast: 0, "outputPadding of \(layer)")
    self.dilation = try dilation.checked(2, atLeast: 1, "dilation of \(layer)")
    self.groups = groups
    self.weight = weight
    self.bias = bias ? try initial([outputs], dtype: dtype) : nil
  }

  /// - Parameter input: [n, inputs, height, width], or without n.
  /// - Returns: [n, outputs, height, width]
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try OperatorLibrary.convTranspose2d(
      .reference(input), .reference(weight), bias.map { .reference($0) } ?? .none, Value(stride), Value(padding),
      Value(outputPadding), Value(groups), Value(dilation))
  }

  public override var settings: String {
    let shape = weight.shape
    return "\(shape[0]), \(shape[1] * groups), kernelSize: \(Array(shape.dropFirst(2))), stride: \(stride), "
      + "padding: \(padding), outputPadding: \(outputPadding), groups: \(groups), bias: \(bias != nil), "
      + "dilation: \(dilation)"
  }
}
