import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Runs a graph node by node through the eager kernels: the reference that compiled code is compared with.
public struct InterpretCompiler: GraphCompiler {
  public let name = "interpret"

  public init() {}

  public func compile(_ module: GraphModule, role: GraphRole) -> any CompiledGraph { InterpretedGraph(module) }
}

private final class InterpretedGraph: CompiledGraph, @unchecked Sendable {
  // Sendable: the module's tensors are constants that nobody writes to.
  private let module: GraphModule

  init(_ module: GraphModule) { self.module = module }

  var workspaceByteCount: Int? { nil }

  func run(_ arguments: [Value]) throws -> [Value] {
    do {
      return try autocast(nil) { () throws in try noGrad { try interpret(arguments) } }
    } catch let error as ExecutionError {
      // What the eager function would throw, with the line that the user wrote.
      guard var cause = error.underlying as? any LocatedError else { throw error.underlying }
      cause.source = error.source ?? cause.source
      throw cause
    }
  }

  private func interpret(_ arguments: [Value]) throws -> [Value] {
    guard let results = try Interpreter(module).run(arguments).elements else {
      throw GraphError(.malformed, "a graph to be compiled returns one tuple")
    }
    // A view made here is none to autograd: it sees what the graph gives, not how.
    return results.map { result in
      result.map {
        .reference($0.isView ? Tensor(unchecked: $0.storage, layout: $0.layout, dtype: $0.dtype) : $0)
      }
    }
  }
}
