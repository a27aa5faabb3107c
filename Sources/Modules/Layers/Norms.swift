import AOTAutograd

/// The last dimensions brought to mean 0 and variance 1, then scaled and shifted: `torch.nn.LayerNorm`.
public final class LayerNorm: Module, Layer {
  /// Of the normalized shape, 1 at first.
  @Parameter public var weight: Tensor?
  /// Of the normalized shape, 0 at first.
  @Parameter public var bias: Tensor?

  public let normalizedShape: [Int]
  public let eps: Double

  /// - Parameters:
  ///   - normalizedShape: The sizes of the last dimensions of inputs.
  ///   - eps: Added to the variance.
  ///   - affine: Whether there is a weight and, with `bias`, a bias.
  /// - Throws: `ModuleError` where a size is not positive.
  public init(
    _ normalizedShape: [Int], eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32
  ) throws {
    let initial = try Tensor.empty(sizes: normalizedShape, of: "LayerNorm", dtype).fill_(0)
    self.normalizedShape = normalizedShape
    self.eps = eps
    self.weight = affine ? try initial.onesLike() : nil
    self.bias = affine && bias ? initial : nil
  }

  /// Normalizes the last dimension.
  public convenience init(
    _ width: Int, eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32
  ) throws {
    try self.init([width], eps: eps, affine: affine, bias: bias, dtype: dtype)
  }

  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try input.layerNorm(normalizedShape, weight: weight, bias: bias, eps: eps)
  }

  public override var settings: String {
    "\(normalizedShape), eps: \(eps), affine: \(weight != nil), bias: \(bias != nil)"
  }
}

/// The last dimensions divided by the root of their mean square, then scaled: `torch.nn.RMSNorm`.
public final class RMSNorm: Module, Layer {
  /// Of the normalized shape, 1 at first.
  @Parameter public var weight: Tensor?

  public let normalizedShape: [Int]
  public let eps: Double?

  /// - Parameters:
  ///   - normalizedShape: The sizes of the last dimensions of inputs.
  ///   - eps: Added to the mean square; the smallest step of the input's type at 1 where nil.
  ///   - affine: Whether there is a weight.
  /// - Throws: `ModuleError` where a size is not positive.
  public init(_ normalizedShape: [Int], eps: Double? = nil, affine: Bool = true, dtype: DType = .float32) throws {
    let initial = try Tensor.empty(sizes: normalizedShape, of: "RMSNorm", dtype).fill_(1)
    self.normalizedShape = normalizedShape
    self.eps = eps
    self.weight = affine ? initial : nil
  }

  /// Normalizes the last dimension.
  public convenience init(_ width: Int, eps: Double? = nil, affine: Bool = true, dtype: DType = .float32) throws {
    try self.init([width], eps: eps, affine: affine, dtype: dtype)
  }

  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try input.rmsNorm(normalizedShape, weight: weight, eps: eps)
  }

  public override var settings: String {
    "\(normalizedShape), eps: \(eps.map { "\($0)" } ?? "nil"), affine: \(weight != nil)"
  }
}

/// Groups of channels brought to mean 0 and variance 1, then each channel scaled and shifted: `torch.nn.GroupNorm`.
public final class GroupNorm: Module, Layer {
  /// [channels], 1 at first
  @Parameter public var weight: Tensor?
  /// [channels], 0 at first
  @Parameter public var bias: Tensor?

  public let groupCount: Int
  public let channelCount: Int
  public let eps: Double

  /// - Parameters:
  ///   - eps: Added to the variance.
  ///   - affine: Whether there are a weight and a bias.
  /// - Throws: `ModuleError` where the channels cannot be divided.
  public init(
    groups: Int, channels: Int, eps: Double = 1e-5, affine: Bool = true, dtype: DType = .float32
  ) throws {
    guard groups > 0, channels.isMultiple(of: groups) else {
      throw ModuleError(.invalidSetting, "GroupNorm: \(channels) channels cannot be divided into \(groups) groups")
    }
    let initial = try Tensor.empty(sizes: [channels], of: "GroupNorm", dtype).fill_(0)
    groupCount = groups
    channelCount = channels
    self.eps = eps
    weight = affine ? try initial.onesLike() : nil
    bias = affine ? initial : nil
  }

  /// - Parameter input: [n, channels, …]
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try input.groupNorm(groupCount, weight: weight, bias: bias, eps: eps)
  }

  public override var settings: String { "\(groupCount), \(channelCount), eps: \(eps), affine: \(weight != nil)" }
}
