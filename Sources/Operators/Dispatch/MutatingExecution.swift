import GraphIR
import TensorCore

/// Execution of an operator whose own code writes to its arguments.
enum MutatingExecution {
  /// - Parameter body: Does the work and gives the results that are new.
  static func run(_ call: OperatorCall, _ body: () throws -> [Tensor?]) throws -> Value {
    let written = try call.target.schema.writtenPositions.map(call.tensor)
    for tensor in written where tensor.layout.mayOverlapItself {
      throw OperatorError(
        .overlap, call.target.name,
        "several elements of a tensor written to share one place (strides \(tensor.strides)); clone it first")
    }
    // What fails may have written before.
    defer { for tensor in written { tensor.storage.bumpVersion() } }
    let results = try body().map { $0.map { Value.reference($0) } ?? .none }
    return call.target.packedResults(new: results, arguments: call.arguments)
  }
}
