import GraphIR
import TensorCore

/// Execution of an in-place variant: the functional operator's kernel, writing into `self`, or a view's layout, given to it.
enum InPlaceExecution {
  /// - Throws: What the functional operator refuses, as refused by the variant that was called.
  static func run(_ call: OperatorCall, functional: OperatorDefinition) throws -> Tensor {
    do {
      return try write(call, functional)
    } catch var error as OperatorError where error.name == functional.name {
      error.name = call.target.name
      throw error
    }
  }

  private static func write(_ call: OperatorCall, _ functional: OperatorDefinition) throws -> Tensor {
    let destination = try call.tensor(0)
    let functionalCall = OperatorCall(functional, call.arguments)
    let shape: OperatorDefinition.ShapeRule
    switch functional.implementation {
    case .kernel(let rule, _), .host(let rule, _): shape = rule
    case .view(let rule): return changeLayout(of: destination, to: try rule(functionalCall)[0], functional, call)
    case .copy, .inPlace, .mutating, .setStorage, .composite:
      throw OperatorError(.notImplemented, call.target.name, "has no kernel that could write in place")
    }
    guard let meta = try shape(functionalCall)[0] else {
      throw OperatorError(.argument, call.target.name, "gives no result to write")
    }
    try check(meta, fits: destination, call)
    if let position = functional.schema.index(of: "dtype"), meta.dtype != destination.dtype,
      try call.optionalDType(position) != nil
    {
      throw OperatorError(
        .dtype, call.target.name,
        "argument 'dtype' is \(meta.dtype), but must be that of the tensor written to, \(destination.dtype)")
    }
    let isPointwise = functional.traits.contains(.pointwise)
    let needsTemporary = try call.allTensors.dropFirst().contains {
      isPointwise ? try overlapsPartially($0, destination, call) : overlaps($0, destination)
    }
    if !destination.isFake {
      switch functional.implementation {
      case .kernel(_, let lowering) where !needsTemporary:
        try EagerKernels.run(functionalCall, results: [destination], lowering: lowering)
      case .kernel(_, let lowering):
        let temporary = try Tensor(uninitialized: meta.layout, dtype: meta.dtype)
        try EagerKernels.run(functionalCall, results: [temporary], lowering: lowering)
        try EagerKernels.copy(temporary, to: destination)
      case .host(_, let body):
        let temporary = try Tensor(uninitialized: meta.layout, dtype: meta.dtype)
        try body(functionalCall, [temporary])
        try EagerKernels.copy(temporary, to: destination)
      case .view, .copy, .inPlace, .mutating, .setStorage, .composite: break
      }
    }
    destination.storage.bumpVersion()
    return destination
  }

  /// Gives a tensor the layout of its view.
  private static func changeLayout(
    of tensor: Tensor, to layout: Layout, _ functional: OperatorDefinition, _ call: OperatorCall
  ) -> Tensor {
    recordLayoutChange(of: tensor, functional, call)
    tensor.layout = layout
    tensor.storage.bumpVersion()
    return tensor
  }

  /// A view whose layout is about to change becomes a view of what it was. Writes through it are followed, or refused, as before.
  static func recordLayoutChange(of tensor: Tensor, _ functional: OperatorDefinition, _ call: OperatorCall) {
    guard let known = tensor.viewRecord else { return }
    let before = Tensor(sharingMemoryOf: tensor)
    before.viewMeta = known
    before.autogradMeta = tensor.autogradMeta
    let record = ViewRecord(of: before, by: functional, call.arguments.dropFirst())
    record.circumstance = known.circumstance
    tensor.viewMeta = record
  }

  private static func check(_ meta: TensorMeta, fits destination: Tensor, _ call: OperatorCall) throws {
    guard meta.sizes == destination.sizes else {
      throw OperatorError(
        .shape, call.target.name,
        "the result's shape \(meta.sizes) is not the shape \(destination.sizes) it is written to")
    }
    guard TypePromotion.canCast(meta.dtype, to: destination.dtype) else {
      throw OperatorError(
        .dtype, call.target.name,
        "a result of type \(meta.dtype) cannot be written to a tensor of type \(destination.dtype)")
    }
    guard !destination.layout.mayOverlapItself else {
      throw OperatorError(
        .overlap, call.target.name,
        "several elements of the tensor written to share one place (strides \(destination.strides)); clone it first")
    }
  }

  /// Whether an operand shares memory with the destination other than element by element.
  ///
  /// - Throws: `OperatorError` with code `overlap` where both are dense: each element read may have been overwritten.
  static func overlapsPartially(_ operand: Tensor, _ destination: Tensor, _ call: OperatorCall) throws -> Bool {
    guard operand.storage === destination.storage, operand !== destination else { return false }
    if operand.layout == destination.layout && operand.dtype == destination.dtype { return false }
    if !overlaps(operand, destination) { return false }
    if operand.layout.isNonOverlappingAndDense && destination.layout.isNonOverlappingAndDense {
      throw OperatorError(
        .overlap, call.target.name, "an operand and the tensor written to share part of their memory; clone one first")
    }
    return true
  }

  /// Whether two tensors reach into the same bytes.
  private static func overlaps(_ operand: Tensor, _ destination: Tensor) -> Bool {
    operand.storage === destination.storage
      && byteRange(operand).overlaps(byteRange(destination))
  }

  private static func byteRange(_ tensor: Tensor) -> Range<Int> {
    let elements = tensor.layout.elementRange
    let size = tensor.dtype.byteCount
    return elements.lowerBound * size..<elements.upperBound * size
  }
}
