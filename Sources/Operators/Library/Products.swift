import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let products = [prodAll, prod]

  /// The product of all elements. Integers and bool give int64.
  public static let prodAll = multiplying("prod(Tensor self, *, ScalarType? dtype=None) -> Tensor")

  /// The product along a dimension.
  public static let prod = multiplying(
    "prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")

  private static func multiplying(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    return folding(schema, rule, .product)
      .derivative(saving: ["self", "result"]) { d in
        let input = try d.tensor("self").converted(to: d.gradient.dtype)
        guard input.rank > 0 else { return d.gradient }
        guard schema.index(of: "dim") != nil else {
          let flat = try input.reshape([-1])
          return try (d.gradient * flat.productOfOthers(0, product: d.result)).reshape(input.sizes)
        }
        let dimension = try d.call.dimension(1, rank: input.rank)
        return try rule.restored(d.gradient, d) * input.productOfOthers(dimension, product: rule.restored(d.result, d))
      }
  }
}

extension Tensor {
  /// For every element, the product of the others along a dimension: the quotient of the whole product, or, where an element
  /// is 0, what stands before and after.
  fileprivate func productOfOthers(_ dimension: Int, product: Tensor) throws -> Tensor {
    let length = shape[dimension]
    guard length > 1 else { return try onesLike() }
    var edge = shape
    edge[dimension] = 1
    let one = try newOnes(edge)
    let before = try Tensor.cat([one, narrow(dimension, from: 0, length: length - 1)], dimension: dimension)
    let after = try Tensor.cat(
      [one, flip([dimension]).narrow(dimension, from: 0, length: length - 1)], dimension: dimension)
    let others = try before.cumprod(dimension) * after.cumprod(dimension).flip([dimension])
    return try eq(0).any([dimension], keepDimensions: true).selecting(others, product / self)
  }

  /// The product of all elements, or along a dimension.
  public func prod(_ dimension: Int? = nil, keepDimensions: Bool = false, dtype: DType? = nil) throws -> Tensor {
    guard let dimension else { return try OperatorLibrary.prodAll(.reference(self), Value(dtype)) }
    return try OperatorLibrary.prod(.reference(self), Value(dimension), .bool(keepDimensions), Value(dtype))
  }
}
