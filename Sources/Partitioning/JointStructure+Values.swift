import GraphIR
import TensorCore

/// What kind of value a node gives, as far as saving it is concerned.
enum SavableKind {
  case tensor, number
}

extension JointStructure {
  /// - Throws: `GraphError` where the node has no metadata.
  func value(_ position: Int) throws(GraphError) -> MetaValue {
    guard let value = self[position].metadata.value else {
      throw error("has no metadata: propagate shapes through the joint graph before partitioning it", at: position)
    }
    return value
  }

  /// Nil for what can be neither saved as a tensor nor as a number, such as the tuple that a call with several results gives.
  func savableKind(_ position: Int) throws(GraphError) -> SavableKind? {
    switch try value(position) {
    case .reference: .tensor
    case .bool, .int, .double: .number
    default: nil
    }
  }

  /// Why the value cannot be handed to the backward pass; nil where it can.
  func obstacleToSaving(_ position: Int) throws(GraphError) -> String? {
    if try savableKind(position) == nil { return "it is neither a tensor nor a number" }
    if let writer = writer[root[position]] {
      return "'\(self[writer].name)' writes to \(root[position] == position ? "it" : "its storage")"
    }
    return nil
  }

  /// Why the value cannot be computed again; nil where it can.
  func obstacleToRecomputing(_ position: Int) -> String? {
    if isPlaceholder(position) { return "it is an input" }
    guard let target = target(position), !isRepeatable(position) else { return nil }
    return target.hasEffect ? "\(target.name) has an effect" : "\(target.name) is random"
  }

  /// Bytes of memory that keeping the value keeps: for a view, those of what it is a view of. 8 for a number.
  ///
  /// - Throws: `GraphError` where they do not fit into an `Int`.
  func pinnedByteCount(_ position: Int) throws(GraphError) -> Int {
    try byteCount(of: try value(root[position]), at: position)
  }

  /// Bytes of memory for a value; for a tuple, of its parts.
  func byteCount(of value: MetaValue, at position: Int) throws(GraphError) -> Int {
    switch value {
    case .reference(let tensor):
      guard let bytes = try? tensor.layout.requiredByteCount(tensor.dtype) else { throw tooLarge(position) }
      return bytes
    case .bool, .int, .double: return 8
    case .list(let parts), .tuple(let parts):
      var total = 0
      for part in parts {
        let (sum, overflow) = total.addingReportingOverflow(try byteCount(of: part, at: position))
        if overflow { throw tooLarge(position) }
        total = sum
      }
      return total
    default: return 0
    }
  }

  private func tooLarge(_ position: Int) -> GraphError { error("is too large to have a size in bytes", at: position) }
}
