import AOTArtifacts
import EagerAutograd
import GraphIR
import TensorCore

/// The backward pass of a compiled function as a function of primals and tangents that autograd can differentiate in turn:
/// compiled when gradients of gradients are first asked for.
public final class DifferentiableBackward: @unchecked Sendable {
  // Sendable: the closure is constant, and what it makes is behind a lock.
  private let make: () throws -> RuntimeFunction
  private let function = Locked<RuntimeFunction?>(nil)

  /// - Parameter make: Compiles the function of the primals, then the tangents, that gives the gradients.
  public init(_ make: @escaping () throws -> RuntimeFunction) { self.make = make }

  func callAsFunction(_ arguments: [Tensor]) throws -> [Value] {
    let function = try function.withLock { known in
      if let known { return known }
      let made = try SavedTensorHooks.with(nil, make)
      known = made
      return made
    }
    return try function(arguments)
  }
}
