import GraphIR
import TensorCore

/// The value that a captured function gave, as a mold for what its compiled form gives.
struct OutputTree<Output>: @unchecked Sendable {
  /// Replaces the tensors of an output, in order. It holds no state: what it captures are types.
  typealias Map = (Output, (Tensor) throws -> Tensor) throws -> Output

  // Sendable: the tensors in the mold are fake and only ever replaced, and the map has no state.
  private let mold: Output
  private let map: Map
  let tensors: [Tensor]

  init(_ output: Output, _ map: @escaping Map) throws {
    var tensors: [Tensor] = []
    _ = try map(output) {
      tensors.append($0)
      return $0
    }
    self.mold = output
    self.map = map
    self.tensors = tensors
  }

  /// The mold with its tensors replaced, in order.
  func filled(with values: [Value]) throws -> Output {
    if Output.self == [Tensor].self, values.count == tensors.count {
      // The very type: nothing of the mold is left.
      return unsafeBitCast(values.compactMap { $0.reference }, to: Output.self)
    }
    var next = values.makeIterator()
    return try map(mold) { _ in
      guard let tensor = next.next()?.reference else {
        throw GraphError(.execution, "a compiled function gave fewer tensors than its closure")
      }
      return tensor
    }
  }
}
