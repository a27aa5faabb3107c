import AOTAutograd

extension Module {
  /// This module under the name "", and each module inside it under its own, each once.
  public final var namedModules: [(name: String, module: Module)] {
    var result: [(String, Module)] = []
    var seen: Set<ObjectIdentifier> = []
    forEachModule { name, module, _ in
      if seen.insert(ObjectIdentifier(module)).inserted { result.append((name, module)) }
    }
    return result
  }

  /// The parameters of this module and of all inside it, each once, under its first name.
  public final var namedParameters: [NamedTensor] { slots([.parameter]).withoutRepetition }

  /// The buffers of this module and of all inside it, each once, under its first name.
  public final var namedBuffers: [NamedTensor] { slots([.buffer, .transientBuffer]).withoutRepetition }

  public final var parameters: [Tensor] { namedParameters.map(\.tensor) }
  public final var buffers: [Tensor] { namedBuffers.map(\.tensor) }

  /// The number of elements of all parameters.
  public final var parameterCount: Int { parameters.reduce(0) { $0 + $1.elementCount } }

  /// Asks for gradients of all parameters, or no longer: frozen ones are not trained.
  ///
  /// - Throws: As `Tensor.setRequiresGrad`.
  public final func setRequiresGrad(_ isRequired: Bool) throws {
    for parameter in parameters { try parameter.setRequiresGrad(isRequired) }
  }

  /// Forgets the gradients of all parameters.
  public final func zeroGrad() { for parameter in parameters { parameter.grad = nil } }
}
