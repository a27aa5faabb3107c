import GraphIR
import TensorCore

extension OperatorLibrary {
  static let differences = [diff]

  /// The differences of neighbours along a dimension, `n` times over, of the tensor with others put before and behind it. Of
  /// bool, whether neighbours differ.
  public static let diff = OperatorDefinition(
    "diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
    .composite { call in
      let (input, times) = (try call.tensor(0), try call.int(1))
      guard input.rank > 0 else {
        throw OperatorError(.shape, call.target.name, "needs a tensor of at least one dimension")
      }
      let dimension = try call.dimension(2, rank: input.rank)
      guard times >= 0 else { throw call.mismatch(1, "not negative") }
      if times == 0 { return .reference(try input.clone()) }
      let parts = try [call.optionalTensor(3), input, call.optionalTensor(4)].compactMap(\.self)
      if let other = parts.first(where: { $0.rank != input.rank }) {
        throw OperatorError(
          .shape, call.target.name,
          "what is put before or behind sizes \(input.sizes) must have their rank, got \(other.sizes)")
      }
      var result = try parts.count == 1 ? input : Tensor.cat(parts, dimension: dimension)
      for _ in 0..<Swift.min(times, result.shape[dimension]) {
        let length = result.shape[dimension] - 1
        let (later, earlier) = (
          try result.narrow(dimension, from: 1, length: length), try result.narrow(dimension, from: 0, length: length)
        )
        result = try result.dtype == .bool ? later.logicalXor(earlier) : later - earlier
      }
      return .reference(result)
    })
}

extension Tensor {
  /// The differences of neighbours along a dimension, `times` over.
  public func diff(
    _ times: Int = 1, _ dimension: Int = -1, prepend: Tensor? = nil, append: Tensor? = nil
  ) throws -> Tensor {
    try OperatorLibrary.diff(
      .reference(self), Value(times), Value(dimension), prepend.map { .reference($0) } ?? .none,
      append.map { .reference($0) } ?? .none)
  }
}
