import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Who is written to and who shares memory with whom, once writing and views are gone from the graph: what the runtime
/// wrappers need to give the caller both back.
public struct ViewAndMutationMeta: Hashable, Sendable {
  /// One per input of the function, closed-over tensors last.
  public var inputs: [InputInfo]
  /// One per output of the function, then those that the caller does not get: detached tensors of which several outputs are
  /// views, and one for what each input with a `storageChange` is to be.
  public var outputs: [OutputInfo]
  /// The number of outputs that the caller does not get.
  public var hiddenOutputCount: Int
  /// The number of intermediate values that are returned, after the outputs, since outputs are views of them.
  public var intermediateBaseCount: Int
  /// Whether grad mode was changed by the function, and to what.
  public var gradModeAfter: Bool?
  /// The kinds of the effects that the graph orders by tokens, one per token.
  public var effects: [EffectKind]
  /// The number of counters of the random generator that a call takes; nil where the graph has no inputs for them.
  public var randomBlockCount: Int?

  public init(
    inputs: [InputInfo], outputs: [OutputInfo], hiddenOutputCount: Int = 0, intermediateBaseCount: Int = 0,
    gradModeAfter: Bool? = nil, effects: [EffectKind] = [], randomBlockCount: Int? = nil
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.hiddenOutputCount = hiddenOutputCount
    self.intermediateBaseCount = intermediateBaseCount
    self.gradModeAfter = gradModeAfter
    self.effects = effects
    self.randomBlockCount = randomBlockCount
  }

  public struct InputInfo: Hashable, Sendable {
    public enum Mutation: Hashable, Sendable {
      case none
      /// The functional graph ends with a copy into the input: autograd need not see the write.
      case inGraph
      /// The functional graph returns the new value, and the wrapper copies it into the input.
      case outOfGraph
    }

    public enum StorageChange: Hashable, Sendable {
      /// It was given another tensor's memory, with or without grad mode.
      case tracked, underNoGrad
      /// Its own memory was made to hold more.
      case grown
    }

    public var requiresGrad: Bool
    public var isLeaf: Bool
    /// Whether its gradient goes to what it is a view of.
    public var isView: Bool
    /// Whether it is the same tensor at every call, since the closure captured it.
    public var isStatic: Bool
    /// Whether it requires a gradient after the call: a write can make it.
    public var requiresGradAfter: Bool
    public var mutatesData: Bool
    /// Whether sizes, strides or offset of the tensor itself were changed, as by `transpose_`.
    public var mutatesMetadata: Bool
    /// Whether the tensor was given other memory, by `set_`, and autograd saw it.
    public var storageChange: StorageChange?
    /// Whether every write happened where autograd does not look: through `detach()`.
    public var mutationsHiddenFromAutograd: Bool
    /// Whether every write happened with grad mode off or in inference mode.
    public var mutationsUnderNoGrad: Bool
    /// The layout after the call, where it changed.
    public var layoutAfter: Layout?
    /// The calls such as `t_` that changed it, in order, as the views whose layouts they give.
    public var layoutChanges: [ViewStep]
    /// Whether autograd saw the input used before its layout changed: gradients arrive in the layout that it had.
    public var isUsedBeforeLayoutChange = false
    /// Whether all that eagerly counts as a write changes no element: a view of the input was given another layout, or its own
    /// elements were copied into it.
    public var onlyAdvancesVersion = false
    /// A new value has the sizes that the input had before its layout changed.
    public var mutation: Mutation

    public init(
      requiresGrad: Bool, isLeaf: Bool, isView: Bool = false, isStatic: Bool = false,
      requiresGradAfter: Bool? = nil, mutatesData: Bool = false,
      mutatesMetadata: Bool = false,
      storageChange: StorageChange? = nil,
      mutationsHiddenFromAutograd: Bool = false, mutationsUnderNoGrad: Bool = false, layoutAfter: Layout? = nil,
      layoutChanges: [ViewStep] = [], mutation: Mutation = .none
    ) {
      self.requiresGrad = requiresGrad
      self.isLeaf = isLeaf
      self.isView = isView
      self.isStatic = isStatic
      self.requiresGradAfter = requiresGradAfter ?? requiresGrad
      self.mutatesData = mutatesData
      self.mutatesMetadata = mutatesMetadata
      self.storageChange = storageChange
      self.mutationsHiddenFromAutograd = mutationsHiddenFromAutograd
      self.mutationsUnderNoGrad = mutationsUnderNoGrad
      self.layoutAfter = layoutAfter
      self.layoutChanges = layoutChanges
      self.mutation = mutation
    }
  }

  /// Memory of another tensor's that eager autograd does not take for a view of it.
  public enum SpecialView: Hashable, Sendable {
    /// Given by an operator that promises that nobody else uses what it was taken of, such as `_unsafe_view`.
    case unsafe
    /// Given by a function with a gradient of its own.
    case customFunction
  }

  public struct OutputInfo: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
      /// Memory of its own, or shared with nothing that the caller can see.
      case nonAlias
      /// A number or none: the same at every call.
      case constant(Constant)
      /// The input itself.
      case isInput(Int)
      /// A view of an input.
      case aliasOfInput(Int)
      /// A view of the intermediate base of this number, which several outputs share.
      case aliasOfIntermediate(Int)
      /// A view of another output.
      case aliasOfOutput(Int)
    }

    public var kind: Kind
    /// The views that lead from the base to this output. Of an input, they start from the layout that it had before the call.
    /// None for a second mention of one and the same tensor.
    public var views: [ViewStep]
    /// nil for a constant.
    public var meta: TensorMeta?
    /// Whether the eager function's output would require a gradient.
    public var requiresGrad: Bool
    /// Whether it is a leaf that the function itself asked gradients of.
    public var isRequiringLeaf: Bool
    /// The number of views, of those that lead to it, after which its gradient history is another than that of what they are
    /// taken of: the functional graph returns that one's elements for it alone. nil where it is not.
    public var ownHistory: Int?
    /// What is special about how it came about, where it shares the memory of something without being its view.
    public var specialView: SpecialView?
    /// Whether it is a view of an input that the function made before it wrote to the input for the last time.
    public var isMadeBeforeWrites = false
    /// Whether it is a view of an input that was given other memory before: of what that is now.
    public var isMadeAfterStorageChange = false

    public init(
      kind: Kind, views: [ViewStep] = [], meta: TensorMeta?, requiresGrad: Bool, isRequiringLeaf: Bool = false,
      ownHistory: Int? = nil, specialView: SpecialView? = nil
    ) {
      self.kind = kind
      self.views = views
      self.meta = meta
      self.requiresGrad = requiresGrad
      self.isRequiringLeaf = isRequiringLeaf
      self.ownHistory = ownHistory
      self.specialView = specialView
    }
  }
}

extension ViewAndMutationMeta {
  /// Something that the functional graph returns.
  public enum Result: Hashable, Sendable {
    /// What the last effect of a kind gave.
    case token(Int)
    /// The new value of an input that is written to outside of the graph.
    case mutatedInput(Int)
    case output(Int)
    case intermediateBase(Int)
    /// The elements of an output that is made anew as a view, but has another gradient history than what it is a view of.
    case outputHistory(Int)
  }

  /// What the functional graph returns, in order.
  public var results: [Result] {
    effects.indices.map { .token($0) }
      + inputs.indices.filter { inputs[$0].mutation == .outOfGraph }.map { .mutatedInput($0) }
      + outputs.indices.filter { outputs[$0].kind == .nonAlias }.map { .output($0) }
      + (0..<intermediateBaseCount).map { .intermediateBase($0) }
      + outputs.indices.filter { outputs[$0].ownHistory != nil }.map { .outputHistory($0) }
  }

  /// The results that the joint graph takes a tangent for, where a gradient flows from them to an input.
  public var tangents: [Result] { results.filter(hasHistory) }

  /// Whether eager autograd gives a result a history.
  public func hasHistory(_ result: Result) -> Bool {
    switch result {
    case .token: false
    case .mutatedInput(let index): inputs[index].requiresGradAfter
    case .output(let index), .outputHistory(let index): outputs[index].hasHistory
    case .intermediateBase(let number):
      followers(ofBase: number).contains { outputs[$0].hasHistory }
    }
  }

  /// The outputs that have their gradient history from an intermediate base.
  public func followers(ofBase number: Int) -> [Int] {
    outputs.indices.filter { outputs[$0].kind == .aliasOfIntermediate(number) && outputs[$0].ownHistory == nil }
  }
}

extension ViewAndMutationMeta.InputInfo {
  /// Whether the version of its memory advances.
  public var countsAsWritten: Bool { mutatesData || mutatesMetadata || onlyAdvancesVersion }
}

extension ViewAndMutationMeta.OutputInfo {
  fileprivate var hasHistory: Bool { requiresGrad && !isRequiringLeaf }
}

/// One view operation as data: replayed on a base it gives the view again.
public struct ViewStep: Hashable, Sendable {
  public var target: OperatorDefinition
  /// The arguments after the first, which is what is viewed.
  public var arguments: [Constant]
  public var resultIndex: Int
  /// Whether the view was made with grad mode off, so that no gradient flows through it.
  public var isWithoutGrad: Bool

  public init(target: OperatorDefinition, arguments: [Constant], resultIndex: Int = 0, isWithoutGrad: Bool = false) {
    self.target = target
    self.arguments = arguments
    self.resultIndex = resultIndex
    self.isWithoutGrad = isWithoutGrad
  }

  public static func == (a: ViewStep, b: ViewStep) -> Bool {
    a.isSameView(as: b) && a.isWithoutGrad == b.isWithoutGrad
  }

  /// Whether both give the same layout, whatever the grad mode.
  public func isSameView(as other: ViewStep) -> Bool {
    target === other.target && arguments == other.arguments && resultIndex == other.resultIndex
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(ObjectIdentifier(target))
    hasher.combine(arguments)
    hasher.combine(resultIndex)
    hasher.combine(isWithoutGrad)
  }

  /// Whether the view is one of several that a call gave, which may not be written to.
  public var givesSeveralViews: Bool { if case .list = target.schema.returns.first?.type { true } else { false } }

  /// Whether autograd does not connect the view with what it was taken of, as by `detach()`.
  fileprivate var endsGradients: Bool { isWithoutGrad || target.derivative?.isEmpty == true }

  /// The view of `base` that this step describes.
  public func applied(to base: Tensor) throws -> Tensor {
    let call: [Value] = [.reference(base)] + arguments.map { $0.widened() }
    let result = try isWithoutGrad ? noGrad { try target.call(call) } : target.call(call)
    if let tensor = result.reference { return tensor }
    guard let elements = result.elements, elements.indices.contains(resultIndex),
      let tensor = elements[resultIndex].reference
    else { throw OperatorError(.index, target.name, "gives no result \(resultIndex)") }
    return tensor
  }
}

extension [ViewStep] {
  /// The view at the end of the chain.
  public func applied(to base: Tensor) throws -> Tensor {
    // Autograd has no part in what leads to a detached tensor, to a view made with grad mode off or to one of memory as elements of
    // another type, and may not be able to.
    let end = (lastIndex(where: \.endsGradients) ?? -1) + 1
    let start = try end == 0 ? base : noGrad { try self[..<end].reduce(base) { try $1.applied(to: $0) } }
    return try self[end...].reduce(start) { try $1.applied(to: $0) }
  }
}
