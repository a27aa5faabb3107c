import GraphIR
import TensorCore

/// Calls on tensors of wrapper subclasses: the subclass computes what the call gives, and the result gets its place
/// among the outer tensors: a view shares its source's storage, a call in place gives the argument that it wrote to.
enum SubclassDispatch {
  static func run(_ call: OperatorCall) throws -> Value {
    if call.target.isCustomFunction {
      return .list(try call.tensors(0).map { .reference(Tensor(sharingMemoryOf: $0)) })
    }
    switch call.target.implementation {
    case .composite(let body): return try body(call)
    case .view(let rule): return try views(try handled(call), of: call, layouts: rule(call))
    case .inPlace(let functional):
      if case .view = functional.implementation { return .reference(try changeLayout(of: call, functional)) }
      _ = try handled(call)
      recordWrites(of: call)
      return call.arguments[0]
    case .mutating:
      let results = try handled(call).results
      recordWrites(of: call)
      let fresh = zip(call.target.schema.returns, results).filter { $0.0.alias == nil }.map(\.1)
      return call.target.packedResults(new: fresh, arguments: call.arguments)
    case .setStorage:
      throw OperatorError(
        .notImplemented, call.target.name,
        "cannot give a tensor the memory of another where one is of a wrapper subclass")
    case .kernel, .host, .copy: return try handled(call)
    }
  }

  /// What the first subclass among the arguments' that handles the call gives.
  ///
  /// - Throws: `OperatorError` with code `notImplemented` where none handles it.
  private static func handled(_ call: OperatorCall) throws -> Value {
    var refusing: [any TensorSubclass.Type] = []
    for tensor in call.allTensors {
      guard let type = tensor.subclass.map({ type(of: $0) }), !refusing.contains(where: { $0 == type }) else {
        continue
      }
      // Autograd has seen the call: what happens on inner tensors is none of its business.
      if let value = try DispatchContext.current.withGrad(false, { () throws in try type.dispatch(call) }) {
        return value
      }
      refusing.append(type)
    }
    throw OperatorError(
      .notImplemented, call.target.name,
      "is not handled by the tensor subclass \(refusing.map { "\($0)" }.joined(separator: " or ")); call it on inner tensors, "
        + "or on an ordinary tensor made of them")
  }

  /// Counts a write to each wrapper tensor that the call writes to.
  private static func recordWrites(of call: OperatorCall) {
    for position in call.target.schema.writtenPositions {
      call.arguments[position].forEachReference { if $0.wrapperMeta != nil { $0.storage.bumpVersion() } }
    }
  }

  /// Wrapper results over their source's storage. What a subclass gives as ordinary tensors is no view of it.
  private static func views(_ value: Value, of call: OperatorCall, layouts: [Layout]) throws -> Value {
    let source = try call.tensor(0)
    var remaining = zip(layouts, 0...).makeIterator()
    return try value.map { tensor in
      guard let (layout, index) = remaining.next(), layout.sizes == tensor.sizes else {
        throw OperatorError(
          .shape, call.target.name,
          "gives views of sizes \(layouts.map(\.sizes)), but the tensor subclass gave one of sizes \(tensor.sizes)")
      }
      guard tensor.wrapperMeta != nil else { return .reference(tensor) }
      let view = Tensor(
        unchecked: source.storage, layout: layout, dtype: tensor.dtype, wrapperMeta: tensor.wrapperMeta)
      if call.target.tracksViews {
        view.viewMeta = ViewRecord(of: source, by: call.target, call.arguments.dropFirst(), resultIndex: index)
      }
      return .reference(view)
    }
  }

  /// Makes a tensor what its view is.
  private static func changeLayout(of call: OperatorCall, _ functional: OperatorDefinition) throws -> Tensor {
    let tensor = try call.tensor(0)
    let functionalCall = OperatorCall(functional, call.arguments)
    guard let view = try run(functionalCall).reference, view.wrapperMeta != nil else {
      throw OperatorError(.notImplemented, call.target.name, "needs a view, and the tensor subclass gives none")
    }
    InPlaceExecution.recordLayoutChange(of: tensor, functional, call)
    tensor.layout = view.layout
    tensor.wrapperMeta = view.wrapperMeta
    tensor.storage.bumpVersion()
    return tensor
  }
}
