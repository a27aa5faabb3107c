import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// How recorded calls are made.
public enum ReplayMode: Sendable {
  /// As a user's eager program makes them.
  case eager
  /// Each captured and compiled as a function of its inputs, gradients through the joint graph.
  case compiled(AOTConfiguration)

  var isCapturing: Bool { if case .compiled = self { true } else { false } }

  /// - Parameter body: The call, of tensors that stand for `inputs` in their order.
  func run(_ inputs: [Tensor], _ body: @escaping ([Tensor]) throws -> Value) throws -> Value {
    switch self {
    case .eager: return try body(inputs)
    case .compiled(let configuration):
      // The structure of the result is known while capturing; a call gives its tensors.
      var structure = Value.none
      let function = aotFunction(configuration: configuration) { (inputs: [Tensor]) in
        structure = try body(inputs)
        return structure.references
      }
      var results = try function(inputs).makeIterator()
      return structure.map { tensor in .reference(results.next() ?? tensor) }
    }
  }
}

/// A copy of a leaf with the same layout over a copy of all its memory: a tensor that may be written to, whose gradient goes
/// to the leaf.
struct MemoryCopy: DifferentiableFunction {
  func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
    try inputs.map { input in
      let storage = try Storage(byteCount: input.storage.byteCount)
      if let from = input.storage.baseAddress {
        storage.baseAddress?.copyMemory(from: from, byteCount: storage.byteCount)
      }
      return try Tensor(storage: storage, layout: input.layout, dtype: input.dtype)
    }
  }

  func backward(_ gradients: [Tensor?], _ context: FunctionContext) -> [Tensor?] { gradients }
}
