import GraphIR
import LoopIR
import TensorCore

extension OperatorDefinition {
  /// An operator that is said in terms of others, and is a node of graphs all the same: with a derivative of its own, and one
  /// program of loops, which the calls of `body` are fused into.
  ///
  /// Where the operator is to vanish from graphs, and the derivatives of what it calls are its derivative, it is an
  /// `Implementation.composite` instead.
  ///
  /// - Parameters:
  ///   - shape: The results' metadata; without it, `body` runs on fake tensors to tell, at every call.
  ///   - body: Written in tensor operations. It sees the call's tensors as fake ones: it may read their metadata only, and
  ///     makes tensors of its own by factories.
  public static func decomposed(
    _ schema: String, traits: OperatorTraits = [], shape: ShapeRule? = nil,
    _ body: @escaping @Sendable (OperatorCall) throws -> Value
  ) -> OperatorDefinition {
    let kernel = DecomposedKernel(body: body)
    let definition = OperatorDefinition(
      schema, traits: traits, .kernel(shape: shape ?? kernel.shape, lowering: kernel.lower))
    definition.isLoweredByDecomposition = true
    return definition.decomposition(body)
  }
}

/// The shape rule and lowering of an operator that is said in terms of others.
private struct DecomposedKernel: Sendable {
  let body: @Sendable (OperatorCall) throws -> Value

  @Sendable func shape(_ call: OperatorCall) throws -> [TensorMeta?] {
    let arguments = try call.arguments.map { argument in
      try argument.map { .reference(try Tensor(fake: TensorMeta($0))) }
    }
    let context = DispatchContext.current
    let value = try context.withMode(nil) {
      try context.withFakeTensors(true) { try run(OperatorCall(call.target, arguments)) }
    }
    return value.results.map { result in
      result.reference.map {
        TensorMeta(dtype: $0.dtype, layout: $0.layout.copied(format: .preserve), device: $0.device)
      }
    }
  }

  @Sendable func lower(_ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder) throws {
    let tracer = GraphTracer()
    let metas = try call.arguments.map { argument in
      argument.map { operand -> MetaValue in
        let layout = Layout(sizes: [SymInt](operand.sizes), strides: [SymInt](operand.strides))
        return .reference(TensorMeta(dtype: operand.dtype, layout: layout))
      }
    }
    try tracer.record(Call(call.target, metas), run)
    let operands = call.arguments.flatMap(\.references)
    try builder.inline(tracer.graph, arguments: operands, to: results)
  }

  /// - Throws: What an operator of the body refuses, as refused by the operator that is being decomposed.
  private func run(_ call: OperatorCall) throws -> Value {
    do {
      return try body(call)
    } catch var error as OperatorError {
      if let inner = error.name, inner != call.target.name {
        error.message = "\(inner): \(error.message)"
        error.name = call.target.name
      }
      throw error
    }
  }
}

extension Argument {
  /// The results that a call gave, in order.
  package var results: [Argument] { elements ?? [self] }
}
