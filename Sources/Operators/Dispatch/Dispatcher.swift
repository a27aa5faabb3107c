import GraphIR
import LoopIR
import TensorCore

/// The way of a call: lifted by a mode, decomposed if composite, recorded by autograd, handled by a mode (capture) or
/// executed: by the subclass where a tensor is of one, on fake tensors by the shape rule alone, on real ones by the kernel as
/// well.
public enum Dispatcher {
  /// - Throws: What the operator refuses, with the line of the user's that called it.
  public static func call(_ call: OperatorCall) throws -> Value {
    do {
      return try route(call)
    } catch var error as any LocatedError where error.source == nil {
      error.source = SourceLocator.current(fallback: nil)
      throw error
    }
  }

  private static func route(_ call: OperatorCall) throws -> Value {
    let context = DispatchContext.current
    var call = call
    if let mode = context.mode {
      for position in call.arguments.indices {
        call.arguments[position] = try call.arguments[position].map { .reference(try mode.lift($0)) }
      }
    }
    guard let dtype = context.autocastDType else { return try routeCast(call, context) }
    return try autocast(nil) { () throws in
      call.arguments = try Autocast.cast(call, to: dtype)
      guard case .composite(let body) = call.target.implementation else { return try routeCast(call, context) }
      return try autocast(dtype) { () throws in try body(call) }
    }
  }

  private static func routeCast(_ original: OperatorCall, _ context: DispatchContext) throws -> Value {
    var call = original
    if case .composite(let body) = call.target.implementation { return try body(call) }
    if let rewrite = call.target.argumentRewrite { call.arguments = try rewrite(call) }
    if call.target.mutates, !context.isInferenceMode { try refuseInferenceTensors(call) }
    // `detach_` ends a history whatever the grad mode is.
    if context.recordsGradients || call.target === OperatorLibrary.detach.inPlace, let autograd = autograd(of: call) {
      return try autograd.dispatch(call)
    }
    return try callBelowAutograd(call)
  }

  /// - Throws: `OperatorError` with code `inferenceTensor` where the call would write to one: nobody counts its versions.
  private static func refuseInferenceTensors(_ call: OperatorCall) throws {
    for (parameter, argument) in zip(call.target.schema.parameters, call.arguments)
    where parameter.alias?.isWrite == true && argument.references.contains(where: \.isInference) {
      throw OperatorError(
        .inferenceTensor, call.target.name,
        "argument '\(parameter.name)' was made in inference mode and cannot be written to outside of it; clone it first"
      )
    }
  }

  private static func autograd(of call: OperatorCall) -> AutogradDispatch? {
    var found: AutogradDispatch?
    _ = call.contains { tensor in
      found = tensor.recordingAutograd
      return found != nil
    }
    return found
  }

  /// The call as it happens below autograd: nothing is recorded on a tape.
  public static func callBelowAutograd(_ call: OperatorCall) throws -> Value {
    if let mode = DispatchContext.current.mode { return try mode.dispatch(call) }
    return try execute(call)
  }

  /// Computes a call, on real or fake tensors or those of wrapper subclasses.
  public static func execute(_ call: OperatorCall) throws -> Value {
    if call.contains(where: { $0.wrapperMeta != nil }) { return try SubclassDispatch.run(call) }
    let target = call.target
    switch target.implementation {
    case .composite(let body):
      return try body(call)
    case .view(let rule):
      return pack(try makeViews(call, layouts: rule(call)).map { $0 }, target)
    case .copy(let rule):
      let views = try makeViews(call, layouts: rule(call))
      let metas = views.map { TensorMeta(dtype: $0.dtype, sizes: $0.sizes, device: $0.device) }
      let (results, isFake) = try allocate(metas, for: call)
      if !isFake { for case (let view, let result?) in zip(views, results) { try EagerKernels.copy(view, to: result) } }
      return pack(results, target)
    case .inPlace(let functional):
      return .reference(try InPlaceExecution.run(call, functional: functional))
    case .kernel(let shape, let lowering):
      let (results, isFake) = try allocate(shape(call), for: call)
      if !isFake { try EagerKernels.run(call, results: results.compactMap(\.self), lowering: lowering) }
      return pack(results, target)
    case .host(let shape, let body):
      let (results, isFake) = try allocate(shape(call), for: call)
      if !isFake { try runBody(body, call, results) }
      return pack(results, target)
    case .mutating(let shape, let body):
      return try MutatingExecution.run(call) {
        let (results, isFake) = try allocate(shape(call), for: call)
        if !isFake { try runBody(body, call, results) }
        return results
      }
    case .setStorage: return .reference(try setStorage(call))
    }
  }

  private static func setStorage(_ call: OperatorCall) throws -> Tensor {
    let (tensor, source) = (try call.tensor(0), try call.tensor(1))
    guard tensor.dtype == source.dtype, tensor.device == source.device else {
      throw OperatorError(
        .dtype, call.target.name,
        "a \(tensor.dtype) tensor on \(tensor.device) cannot get the memory of a \(source.dtype) one on \(source.device)"
      )
    }
    if tensor.isView { try tensor.recordingAutograd?.settleHistory(of: tensor) }
    tensor.storage = source.storage
    tensor.layout = source.layout
    tensor.viewMeta = nil
    return tensor
  }

  /// Runs an operator's own code, out of autograd's sight: autograd has the operator's derivative.
  private static func runBody(
    _ body: (OperatorCall, [Tensor]) throws -> Void, _ call: OperatorCall, _ results: [Tensor?]
  ) throws {
    try DispatchContext.current.withGrad(false) { () throws in try body(call, results.compactMap(\.self)) }
  }

  private static func makeViews(_ call: OperatorCall, layouts: [Layout]) throws -> [Tensor] {
    let source = try call.tensor(0)
    let dtype = try call.target.viewDType?(call) ?? source.dtype
    return layouts.enumerated().map { index, layout in
      let view = Tensor(unchecked: source.storage, layout: layout, dtype: dtype)
      if call.target.tracksViews {
        view.viewMeta = ViewRecord(of: source, by: call.target, call.arguments.dropFirst(), resultIndex: index)
      }
      return view
    }
  }

  private static func allocate(_ metas: [TensorMeta?], for call: OperatorCall) throws -> ([Tensor?], isFake: Bool) {
    let isFake = DispatchContext.current.makesFakeTensors || call.contains(where: \.isFake)
    let results = try metas.map { meta -> Tensor? in
      guard let meta else { return nil }
      return isFake
        ? try Tensor(fake: meta.layout, dtype: meta.dtype, device: meta.device)
        : try Tensor(uninitialized: meta.layout, dtype: meta.dtype, device: meta.device)
    }
    if DispatchContext.current.isInferenceMode { for case let result? in results { result.storage.isInference = true } }
    return (results, isFake)
  }

  private static func pack(_ results: [Tensor?], _ target: OperatorDefinition) -> Value {
    let values = results.map { $0.map { Value.reference($0) } ?? .none }
    if target.schema.returns.count > 1 { return .tuple(values) }
    if case .list = target.schema.returns.first?.type { return .list(values) }
    return values.first ?? .none
  }
}

extension OperatorDefinition {
  /// The view that a call gives of a tensor of which no gradients are taken, where its layout is known already.
  ///
  /// - Parameters:
  ///   - layout: From the element of the storage that `offset` counts to.
  ///   - arguments: Those after the first.
  package func view(
    of source: Tensor, at layout: Layout, from offset: SymInt, _ arguments: [Value], resultIndex: Int
  ) -> Tensor {
    let view = source.view(at: layout, from: offset)
    if tracksViews { view.viewMeta = ViewRecord(of: source, by: self, arguments[...], resultIndex: resultIndex) }
    return view
  }

  /// Whether results remember what they are views of. Those of `detach` do not, since no gradient flows through them, nor
  /// those whose schema declares them new.
  var tracksViews: Bool { schema.isView && derivative?.isEmpty != true }
}
