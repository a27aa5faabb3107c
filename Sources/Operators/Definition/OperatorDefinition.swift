import GraphIR
import LoopIR
import TensorCore

/// One operator, whole: schema, how it is executed, its shape rule, its derivative.
///
/// Definitions are written once, as `static let`s of `OperatorLibrary` or of a user's own, by a constructor for the kind of
/// operator (`pointwise`, `view`, …) and the chained methods below.
public final class OperatorDefinition: Operator, @unchecked Sendable {
  // Sendable: every `var` is set while the definition is being written, before anyone else sees it.
  public let schema: OperatorSchema
  public private(set) var traits: OperatorTraits
  public let implementation: Implementation
  /// How gradients flow, one formula per group of parameters; nil where no derivative is defined.
  @exclusivity(unchecked) public private(set) var derivative: [DerivativeFormula]?
  /// Results that no gradient flows into, such as statistics that are kept for the backward pass.
  package private(set) var auxiliaryResults = PositionSet()
  /// The operator in terms of simpler ones, for a compiler or user that wants those.
  public private(set) var decomposition: (@Sendable (OperatorCall) throws -> Value)?
  /// Whether the kernel is the decomposition, fused, and not one of the operator's own.
  public internal(set) var isLoweredByDecomposition = false
  /// For a view: how a write through the view looks from its source; nil where there is no way to say it.
  public private(set) var viewInverse: ViewInverse?
  /// For a view that sees the source's memory as elements of another dtype: which.
  public private(set) var viewDType: (@Sendable (OperatorCall) throws -> DType)?
  /// What a call's arguments are replaced by before anything else looks at them; nil where they stay.
  private(set) var argumentRewrite: (@Sendable (OperatorCall) throws -> [Value])?
  /// Of an operator that draws random numbers, how many a call draws at once; nil where nobody can tell ahead of time.
  private(set) var drawCount: (@Sendable (OperatorCall) throws -> Int)?
  /// Of such an operator, whether drawing again costs less than keeping what was drawn.
  private(set) var isCheapToDraw = false
  /// The variant that writes its result into `self`; nil where there is none.
  public private(set) var inPlaceVariantDefinition: OperatorDefinition?
  /// Of a view, the operator that gives dense copies in new memory; nil where there is none.
  public private(set) var copyVariantDefinition: OperatorDefinition?
  /// The overload that writes its result into an argument `out`; nil where there is none.
  public private(set) var outVariantDefinition: OperatorDefinition?
  /// Of an operator that is implemented as `mutating`: what gives the written arguments as new results.
  public let functionalCounterpart: OperatorDefinition?
  public let mutates: Bool
  /// Of a variant with further operands behind the operator's own, the operator.
  private(set) var extended: OperatorDefinition?

  /// Which other effects the operator's has an order with; nil for an operator without one.
  public var effectKind: EffectKind? { traits.contains(.effectful) ? declaredEffectKind : nil }
  private var declaredEffectKind = EffectKind.ordered

  /// How a call is executed.
  public enum Implementation: Sendable {
    /// New results, computed by loop kernels.
    case kernel(shape: ShapeRule, lowering: Lowering)
    /// New results, computed by Swift code on whole tensors.
    case host(shape: ShapeRule, body: @Sendable (_ call: OperatorCall, _ results: [Tensor]) throws -> Void)
    /// Results that share the first argument's memory; nothing is computed.
    case view(ViewRule)
    /// New results: dense copies of what such a view gives.
    case copy(ViewRule)
    /// The functional operator's result, written into the first argument; of a view, its layout given to the first argument.
    case inPlace(of: OperatorDefinition)
    /// Swift code on whole tensors that writes into the arguments which the schema marks as written to, each a tensor. The
    /// shape rule gives, and the body gets, the results that are new: those that the schema calls no alias.
    case mutating(shape: ShapeRule, body: @Sendable (_ call: OperatorCall, _ results: [Tensor]) throws -> Void)
    /// The second argument's storage and layout given to the first argument, which has the same type.
    case setStorage
    /// Other operators: what autograd and capture see is the calls that `body` makes.
    case composite(@Sendable (OperatorCall) throws -> Value)
  }

  /// Metadata of each result; nil for one that this call does not give, as where an output mask says so. The call's
  /// tensors may be fake: only their metadata may be read.
  public typealias ShapeRule = @Sendable (OperatorCall) throws -> [TensorMeta?]
  /// Layout of each result over the first argument's storage.
  public typealias ViewRule = @Sendable (OperatorCall) throws -> [Layout]
  /// Appends kernels that write the results, of which only those that the call gives are passed. Results are dense, or
  /// `self` of an in-place variant.
  public typealias Lowering =
    @Sendable (_ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder) throws -> Void

  /// The source after its view was overwritten by `mutated`, in tensor operations: `call` is the call that made the view, the
  /// result of that number, of `source`.
  public typealias ViewInverse =
    @Sendable (_ call: OperatorCall, _ source: Tensor, _ mutated: Tensor, _ resultIndex: Int) throws -> Tensor

  /// - Precondition: `schema` is well-formed: a definition is program text.
  public convenience init(_ schema: String, traits: OperatorTraits = [], _ implementation: Implementation) {
    self.init(schema: OperatorSchema(wellFormed: schema), traits: traits, implementation)
  }

  public init(schema: OperatorSchema, traits: OperatorTraits = [], _ implementation: Implementation) {
    self.schema = schema
    self.traits = CoreATen.contains(schema.name) ? traits.union(.core) : traits
    self.implementation = implementation
    self.mutates = schema.isMutating
    self.functionalCounterpart = Self.functionalCounterpart(of: schema, traits: traits, implementation)
  }

  private init(inPlaceVariantOf functional: OperatorDefinition, base: String?, overload: String?) {
    var schema = functional.schema
    schema.name.base = base ?? schema.name.base + "_"
    if let overload { schema.name.overload = overload }
    let alias = AliasAnnotation(["a"], isWrite: true)
    schema.parameters[0].alias = alias
    schema.returns = [.init(.tensor, alias: alias)]
    self.schema = schema
    self.traits = functional.traits.subtracting(.core)
    self.implementation = .inPlace(of: functional)
    self.derivative = functional.derivative
    self.argumentRewrite = functional.argumentRewrite
    self.functionalCounterpart = nil
    self.mutates = true
  }

  /// A variant with further operands behind the operator's own; what is said of the operator holds for it, too.
  init(
    extending original: OperatorDefinition, schema: OperatorSchema, traits: OperatorTraits,
    _ implementation: Implementation
  ) {
    self.schema = schema
    self.traits = traits
    self.implementation = implementation
    self.derivative = original.derivative
    self.auxiliaryResults = original.auxiliaryResults
    self.functionalCounterpart = nil
    self.mutates = false
    self.extended = original
  }

  private init(copyVariantOf view: OperatorDefinition, rule: @escaping ViewRule) {
    var schema = view.schema
    schema.name.base += "_copy"
    for index in schema.parameters.indices { schema.parameters[index].alias = nil }
    for index in schema.returns.indices { schema.returns[index].alias = nil }
    self.schema = schema
    self.traits = view.traits.subtracting(.core)
    self.implementation = .copy(rule)
    self.derivative = view.derivative
    self.viewDType = view.viewDType
    self.functionalCounterpart = nil
    self.mutates = false
    self.decomposition = { call in
      try view.evaluate(call.arguments).map { .reference(try $0.clone(memoryFormat: .contiguous)) }
    }
  }

  /// Whether a call writes no element: it gives its first argument another layout, as `t_` does, or other memory.
  public var mutatesLayoutOnly: Bool {
    switch implementation {
    case .inPlace(let functional): if case .view = functional.implementation { true } else { false }
    case .setStorage: true
    default: false
    }
  }

  /// Whether a call is the calls that it makes: no node of a graph, and nothing with a derivative.
  public var isComposite: Bool { if case .composite = implementation { true } else { false } }

  /// The variant that writes its result into `self`.
  ///
  /// - Precondition: The operator has one.
  public var inPlace: OperatorDefinition {
    guard let inPlaceVariantDefinition else { preconditionFailure("\(name) has no in-place variant") }
    return inPlaceVariantDefinition
  }

  /// Of a view, the operator that gives dense copies.
  ///
  /// - Precondition: The operator has one.
  public var copying: OperatorDefinition {
    guard let copyVariantDefinition else { preconditionFailure("\(name) has no copying variant") }
    return copyVariantDefinition
  }

  /// What stands for the operator in functional graphs, where that is another.
  var functionalVariants: [OperatorDefinition] { [keyed, ordered].compactMap(\.self) }

  /// The operator and the variants defined with it.
  var withVariants: [OperatorDefinition] {
    [self, inPlaceVariantDefinition, outVariantDefinition, copyVariantDefinition, functionalCounterpart].compactMap(
      \.self)
  }

  // MARK: - Writing a definition

  /// Says that calls refuse some elements, and are made for that alone if need be.
  func checkingElements() -> OperatorDefinition {
    traits.insert(.checksElements)
    return self
  }

  /// Adds the variant that writes into `self`; call it last, it shares what was said before.
  ///
  /// - Parameters:
  ///   - base: Its name, where that is not the functional operator's and an underscore.
  ///   - overload: Its overload name, where that is another than the functional operator's.
  public func inPlaceVariant(named base: String? = nil, overload: String? = nil) -> OperatorDefinition {
    inPlaceVariantDefinition = OperatorDefinition(inPlaceVariantOf: self, base: base, overload: overload)
    return self
  }

  /// Adds the variant that copies, of a view; call it last, it shares what was said before.
  ///
  /// - Precondition: The operator is a view.
  public func copyVariant() -> OperatorDefinition {
    guard case .view(let rule) = implementation else { preconditionFailure("\(name) is no view") }
    copyVariantDefinition = OperatorDefinition(copyVariantOf: self, rule: rule)
    return self
  }

  /// Says what a view sees the source's memory as, where that is not the source's own dtype.
  public func reinterpreting(as dtype: @escaping @Sendable (OperatorCall) throws -> DType) -> OperatorDefinition {
    viewDType = dtype
    return self
  }

  /// Adds the overload that writes its result into an argument `out`.
  public func outVariant(overload: String = "out") -> OperatorDefinition {
    outVariantDefinition = OutVariant.definition(of: self, overload: overload)
    return self
  }

  /// Adds the variant that writes into `self`, with a derivative of its own: where gradients are found from what it wrote
  /// rather than from what was there.
  func inPlaceVariant(
    saving saved: [String], derivative formula: @escaping @Sendable (DerivativeContext) throws -> Tensor?
  ) -> OperatorDefinition {
    // A compiled graph has the functional operator in its place: one with that derivative.
    let functional = OperatorDefinition(schema: schema, traits: traits, implementation)
      .derivative(saving: saved, formula)
    inPlaceVariantDefinition = functional.inPlaceVariant().inPlace
    return self
  }

  /// Replaces a call's arguments before it is recorded, captured or executed, as a condition by the indices where it holds.
  func rewritingArguments(_ rewrite: @escaping @Sendable (OperatorCall) throws -> [Value]) -> OperatorDefinition {
    argumentRewrite = rewrite
    return self
  }

  /// How the source of this view looks after a write through the view.
  public func viewInverse(_ inverse: @escaping ViewInverse) -> OperatorDefinition {
    viewInverse = inverse
    return self
  }

  public func with(_ more: OperatorTraits) -> OperatorDefinition {
    traits.formUnion(more)
    return self
  }

  /// Says which other effects this operator's has an order with, where not with all.
  public func effect(_ kind: EffectKind) -> OperatorDefinition {
    declaredEffectKind = kind
    functionalCounterpart?.declaredEffectKind = kind
    return self
  }

  /// Says how many random numbers a call draws, so that they can have their place in those of a whole graph.
  ///
  /// - Parameter isCheap: Whether drawing again costs less than keeping what was drawn. A mask of a byte per element is kept.
  func drawing(
    isCheap: Bool = true, _ count: @escaping @Sendable (OperatorCall) throws -> Int
  ) -> OperatorDefinition {
    drawCount = count
    isCheapToDraw = isCheap
    return self
  }

  /// The gradient with respect to some parameters.
  ///
  /// - Parameters:
  ///   - parameters: The parameters that `formula` gives a gradient for, in its order.
  ///   - saved: Names of the parameters whose elements the formula reads; `result`, `result1`, … name results. Of
  ///     everything else it may read the metadata.
  ///   - formula: Written in tensor operations, so that it can be differentiated itself. Gradients may still be broadcast
  ///     shapes: they are summed to the argument's size afterwards.
  public func derivative(
    of parameters: String..., saving saved: [String] = [],
    _ formula: @escaping @Sendable (DerivativeContext) throws -> [Value]
  ) -> OperatorDefinition {
    derivative = (derivative ?? []) + [DerivativeFormula(schema, of: parameters, saving: saved, formula)]
    return self
  }

  /// The gradient with respect to one parameter; nil is zero.
  public func derivative(
    of parameter: String = "self", saving saved: [String] = [],
    _ formula: @escaping @Sendable (DerivativeContext) throws -> Tensor?
  ) -> OperatorDefinition {
    derivative(of: parameter, saving: saved) { context -> [Value] in
      [try formula(context).map { .reference($0) } ?? .none]
    }
  }

  /// Declares that no gradient flows through, as for comparisons and indices.
  public func notDifferentiable() -> OperatorDefinition {
    derivative = []
    return self
  }

  /// Declares results, by position, that no gradient flows into, though they are floating-point.
  public func auxiliary(results: Int...) -> OperatorDefinition {
    auxiliaryResults = PositionSet(results)
    return self
  }

  public func decomposition(_ body: @escaping @Sendable (OperatorCall) throws -> Value) -> OperatorDefinition {
    decomposition = body
    return self
  }
}

// MARK: - Calling

extension OperatorDefinition {
  public func evaluate(_ arguments: [Value]) throws -> Value { try Dispatcher.call(OperatorCall(self, arguments)) }

  /// Calls the operator; omitted trailing arguments get their defaults.
  public func call(_ arguments: [Value]) throws -> Value { try evaluate(schema.filled(arguments)) }

  /// Calls an operator that gives one tensor.
  public func callAsFunction(_ arguments: Value...) throws -> Tensor { try self(arguments) }

  /// Calls an operator that gives one tensor.
  public func callAsFunction(_ arguments: [Value]) throws -> Tensor {
    guard let tensor = try call(arguments).reference else {
      throw OperatorError(.argument, name, "gives several results where one tensor was expected")
    }
    return tensor
  }

  /// Calls an operator that gives several tensors.
  public func several(_ arguments: Value...) throws -> [Tensor] {
    guard let results = try call(arguments).elements else {
      throw OperatorError(.argument, name, "gives one result where several were expected")
    }
    return results.compactMap(\.reference)
  }

  /// - Throws: `OperatorError` with code `index` where there is no such dimension. A rank of 0 counts as 1, as in PyTorch.
  func normalizedDimension(_ dimension: Int, rank: Int, parameter: String = "dim") throws -> Int {
    let bound = max(rank, 1)
    guard (-bound..<bound).contains(dimension) else {
      throw OperatorError(
        .index, name,
        "argument '\(parameter)' must be in \(-bound)...\(bound - 1) for \(rank) dimensions, got \(dimension)")
    }
    return dimension < 0 ? dimension + bound : dimension
  }
}

extension OperatorSchema {
  /// A schema that is program text.
  ///
  /// - Precondition: `text` is well-formed.
  init(wellFormed text: String) {
    do { try self.init(parsing: text) } catch { preconditionFailure("\(error)") }
  }

  /// The arguments with omitted trailing ones filled in by their defaults.
  package func filled<Reference>(_ arguments: [Argument<Reference>]) throws -> [Argument<Reference>] {
    if arguments.count == parameters.count { return arguments }
    var result = arguments
    for parameter in parameters.dropFirst(arguments.count) {
      guard let value = parameter.defaultValue else {
        throw OperatorError(.argument, name, "argument '\(parameter.name)' is missing")
      }
      result.append(value.widened())
    }
    guard result.count == parameters.count else {
      throw OperatorError(.argument, name, "takes \(parameters.count) arguments, got \(arguments.count)")
    }
    return result
  }
}
