import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

extension OperatorSample {
  func checkSchema() throws {
    let inputs = try copies()
    let arguments = substituted(inputs)
    let before = try inputs.map { (contents: try $0.wholeMemory(), layout: $0.layout, version: $0.storage.version) }
    let result = try noGrad { try target.evaluate(arguments) }
    for (input, before) in zip(inputs, before) {
      guard let parameter = parameter(of: input, among: arguments) else { continue }
      if parameter.alias?.isWrite == true {
        guard input.storage.version > before.version else {
          throw failure(.schema, "'\(parameter.name)' is marked as written to, and its version did not advance")
        }
      } else if try input.layout != before.layout || input.wholeMemory() != before.contents {
        throw failure(.schema, "'\(parameter.name)' was changed, and is not marked as written to")
      }
    }
    let returns = target.schema.returns
    let results = returns.count == 1 ? [result] : result.results
    guard results.count == returns.count else {
      throw failure(.schema, "gives \(results.count) results where the schema has \(returns.count)")
    }
    for (index, (result, declared)) in zip(results, returns).enumerated() {
      for tensor in result.references { try check(tensor, declared, index, arguments) }
    }
    try checkResultsAreApart(results, returns)
  }

  /// Whether a result shares memory with the arguments that its alias annotation names, and no other.
  private func check(
    _ tensor: Tensor, _ declared: OperatorSchema.Return, _ index: Int, _ arguments: [Value]
  ) throws {
    let sharing = zip(target.schema.parameters, arguments).filter { _, argument in
      argument.references.contains { $0.storage === tensor.storage }
    }
    guard let alias = declared.alias else {
      if let (parameter, _) = sharing.first {
        throw failure(.schema, "result \(index) shares memory with '\(parameter.name)', and the schema calls it new")
      }
      return
    }
    let named = sharing.filter { parameter, _ in !Set(parameter.alias?.sets ?? []).isDisjoint(with: alias.sets) }
    if alias.isWrite, !named.contains(where: { _, argument in argument.references.contains { $0 === tensor } }) {
      throw failure(.schema, "result \(index) is not the argument that the schema says is given back")
    }
    // An operator may give a view or a copy, as the case may be, where it is made of others.
    if target.isComposite { return }
    if named.isEmpty {
      throw failure(.schema, "result \(index) shares no memory with the argument that the schema says it is a view of")
    }
  }

  private func checkResultsAreApart(_ results: [Value], _ returns: [OperatorSchema.Return]) throws {
    let fresh = zip(results, returns).filter { $1.alias == nil }.flatMap { $0.0.references }
    for (index, tensor) in fresh.enumerated()
    where fresh[..<index].contains(where: { $0.storage === tensor.storage }) {
      throw failure(.schema, "two results share memory, and the schema calls both new")
    }
  }

  func checkDeterminism() throws {
    if target.traits.contains(.random) { return }
    let first = try effects(on: copies())
    let second = try effects(on: copies())
    if let difference = try first.difference(from: second, isExact: true) {
      throw failure(.determinism, "two calls differ, and the operator has no trait `random`: \(difference)")
    }
  }

  func checkShapeRule() throws {
    if target.traits.contains(.dataDependent) { return }
    let real = try noGrad { try call(copies()) }.references
    let context = DispatchContext.current
    let fake = try context.withFakeTensors(true) {
      try noGrad { try call(tensors.map { try Tensor(fake: $0.layout, dtype: $0.dtype, device: $0.device) }) }
    }.references
    guard real.count == fake.count else {
      throw failure(.shapeRule, "gives \(fake.count) tensors without elements, \(real.count) with them")
    }
    for (index, (fake, real)) in zip(fake, real).enumerated() {
      guard fake.dtype == real.dtype, fake.sizes == real.sizes, fake.device == real.device else {
        throw failure(
          .shapeRule,
          "tensor \(index) is said to be \(fake.dtype)\(fake.shape) on \(fake.device), and is "
            + "\(real.dtype)\(real.shape) on \(real.device)")
      }
      let places = real.layout.isEmpty ? [] : real.shape.indices.filter { real.shape[$0] > 1 }
      guard places.allSatisfy({ fake.strides[$0] == real.strides[$0] }) else {
        throw failure(.shapeRule, "tensor \(index) is said to have strides \(fake.strides), and has \(real.strides)")
      }
    }
  }

  func checkLayouts() throws {
    if target.traits.contains(.random) || target.schema.isView { return }
    let plain = try effects(on: copies())
    let spread = try effects(on: tensors.map { try $0.spread() })
    if let difference = try plain.difference(from: spread, isExact: false) {
      throw failure(
        .layouts, "arguments with other strides and offsets give something else: is it read by strides? \(difference)")
    }
  }

  /// What a call gives and leaves in the tensors that it writes to.
  private func effects(on inputs: [Tensor]) throws -> [Tensor] {
    let arguments = substituted(inputs)
    let results = try noGrad { try target.evaluate(arguments) }.references
    return results + inputs.filter { parameter(of: $0, among: arguments)?.alias?.isWrite == true }
  }
}

extension Tensor {
  /// All bytes of the memory that this tensor is a view of.
  fileprivate func wholeMemory() throws -> [UInt8] {
    guard let start = storage.baseAddress else { throw TensorError(.noMemory, "a fake tensor has no elements") }
    return Array(UnsafeRawBufferPointer(start: start, count: storage.byteCount))
  }

  /// A copy in which neighbours are two places apart, the dimensions lie the other way around, and the first element is not
  /// at the start.
  fileprivate func spread() throws -> Tensor {
    let order = Array(shape.indices.reversed())
    var (strides, step) = ([SymInt](repeating: 0, count: rank), SymInt(2))
    for dimension in order.reversed() {
      strides[dimension] = step
      step *= sizes[dimension] == 0 ? 1 : sizes[dimension]
    }
    return try noGrad {
      let copy = try Tensor(uninitialized: Layout(sizes: sizes, strides: strides, offset: 3), dtype: dtype)
      return try copy.copy_(self)
    }
  }
}

extension [Tensor] {
  /// What tells one list of tensors from another, if anything: to the last bit, or to rounding.
  func difference(from others: [Tensor], isExact: Bool) throws -> String? {
    guard count == others.count else { return "\(count) tensors and \(others.count)" }
    for (index, (a, b)) in zip(self, others).enumerated() {
      guard a.dtype == b.dtype, a.shape == b.shape else {
        return "tensor \(index) is \(a.dtype)\(a.shape) and \(b.dtype)\(b.shape)"
      }
      let tolerance = isExact ? 0 : a.dtype.roundingTolerance
      let (x, y) = try noGrad {
        try (a.to(.float64).elements(as: Double.self), b.to(.float64).elements(as: Double.self))
      }
      for (place, (x, y)) in zip(x, y).enumerated() where x != y && !(x.isNaN && y.isNaN) {
        if abs(x - y) <= tolerance * Swift.max(1, abs(x)) { continue }
        return "element \(place) of tensor \(index) is \(x) and \(y)"
      }
    }
    return nil
  }
}

extension DType {
  /// How far two ways of computing one thing may be apart, relative to 1 or the result.
  fileprivate var roundingTolerance: Double {
    switch self {
    case .float64: 1e-10
    case .float32: 1e-5
    case .float16: 1e-2
    case .bfloat16: 5e-2
    default: 0
    }
  }
}
