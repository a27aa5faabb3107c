import AOTAutograd

/// x · weightᵀ + bias
public final class Linear: Module, Layer {
  /// [outputs, inputs]
  @Parameter public var weight: Tensor
  /// [outputs]
  @Parameter public var bias: Tensor?

  /// Weight and bias are uniform with bound `1 / √inputs`.
  ///
  /// - Throws: `ModuleError` where there are no inputs.
  public init(_ inputs: Int, _ outputs: Int, bias: Bool = true, dtype: DType = .float32) throws {
    let weight = try Tensor.empty(sizes: [outputs, inputs], of: "Linear", dtype)
    let initial = try Fans(weight).layerDefault
    try initial.fill(weight)
    self.weight = weight
    self.bias = bias ? try initial([outputs], dtype: dtype) : nil
  }

  /// - Parameter input: [*, inputs]
  /// - Returns: [*, outputs]
  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.linear(weight, bias: bias) }

  public override var settings: String { "\(weight.shape[1]), \(weight.shape[0]), bias: \(bias != nil)" }
}

extension Tensor {
  /// A tensor without elements of its own yet, for a layer's parameter.
  ///
  /// - Throws: `ModuleError` where a size is not positive.
  static func empty(sizes: [Int], of layer: String, _ dtype: DType) throws -> Tensor {
    guard sizes.allSatisfy({ $0 > 0 }) else {
      throw ModuleError(.invalidSetting, "\(layer) would have a parameter of shape \(sizes); sizes have to be positive")
    }
    return try .empty(sizes, dtype: dtype)
  }
}
