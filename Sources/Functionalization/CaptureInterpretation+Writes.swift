import GraphIR
import Operators
import TensorCore

// Calls that write to their arguments.
extension CaptureInterpretation {
  func write(
    _ functional: OperatorDefinition, _ arguments: [CapturedValue], to tensor: CapturedTensor, _ node: Node
  ) throws {
    try refuseWrite(to: tensor, node)
    let old = try replay.read(tensor.view)
    guard var new = try evaluate(functional, arguments).reference else {
      throw OperatorError(.notImplemented, node.target?.name, "gives no single tensor to write")
    }
    new = try new.converted(to: old.dtype)
    if new.sizes != old.sizes { new = try new.expand(old.sizes) }
    try replay.write(new, to: tensor.view, isTracked: node.metadata.gradMode != false, metadata: node.metadata)
  }

  /// A call that writes to several arguments: its functional counterpart's results are written to them.
  func mutate(
    _ target: OperatorDefinition, _ arguments: [CapturedValue], _ node: Node
  ) throws -> CapturedValue {
    guard let functional = target.functionalCounterpart else {
      throw OperatorError(.notImplemented, target.name, "has no functional counterpart")
    }
    let written = target.schema.writtenPositions.compactMap { arguments[$0].reference }
    for (index, tensor) in written.enumerated() {
      try refuseWrite(to: tensor, node)
      let sharing = arguments.flatMap(\.references).filter { $0.view.memory === tensor.view.memory }
      guard sharing.count == 1 else {
        throw OperatorError(
          .notImplemented, target.name,
          "writes to an argument (\(index) of those written to) that shares memory with another one; clone one of them")
      }
    }
    let results = try evaluate(functional, arguments).results
    let newCount = results.count - written.count
    for (tensor, value) in Swift.zip(written, results.dropFirst(newCount)) {
      guard let value = value.reference else { continue }
      try replay.write(value, to: tensor.view, isTracked: node.metadata.gradMode != false, metadata: node.metadata)
    }
    let fresh = results.prefix(newCount).map { result in
      result.map {
        .reference(CapturedTensor(AliasView(base: $0, memory: Memory(origin: .intermediate, eager: TensorMeta($0)))))
      }
    }
    return target.packedResults(new: fresh, arguments: arguments)
  }
}
