import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Stage 1 of the way: a function captured as a graph of ATen calls, views and in-place calls as the user wrote them.
public struct AOTGraphCapture {
  /// Placeholders are described `.input(i)` for the flat arguments, then `.closedOver(k)`; the output is one tuple with an
  /// element per flat output.
  public var module: GraphModule
  /// The flat position of the argument each `.input` placeholder stands for. Arguments that are no tensors have none.
  public var inputPositions: [Int]
  /// The tensors that the closure uses without getting them as arguments, in order of first use: hidden inputs.
  public var closedOver: [Tensor]
  /// What the closure read of `Guarded` variables: the graph holds only while these are as they were.
  public var guardedReads: [GuardedRead]
  public var signature: InputSignature
  /// Per placeholder: what autograd knows of the tensor.
  public var inputs: [InputFacts]
  /// Per flat output: what autograd knows of the eager one.
  public var outputs: [OutputFacts]
  /// Grad mode at the end of the function, where it differs from that at the start.
  public var gradModeAfter: Bool?

  public struct InputFacts: Hashable, Sendable {
    public var requiresGrad: Bool
    public var isLeaf: Bool
    /// How its gradient finds the way to what it is a view of.
    public var viewGradient: ViewGradient
    /// Whether it requires a gradient once the function has written to it.
    public var requiresGradAfter: Bool
    /// Why eager autograd could not go back from it then; nil where it could.
    public var failureAfter: AutogradError?
    /// For an input that shares its storage with others: what autograd knows as its base.
    public var base: BaseFacts?
    /// What the tensor is made of; nil for an ordinary tensor.
    public var subclass: SubclassMeta?
    /// Whether an inner tensor lies in memory that another input has as well, though the two are no views of one tensor.
    public var sharesInnerMemory: Bool

    public init(
      requiresGrad: Bool, isLeaf: Bool, viewGradient: ViewGradient = .none, requiresGradAfter: Bool? = nil,
      failureAfter: AutogradError? = nil,
      base: BaseFacts? = nil, subclass: SubclassMeta? = nil, sharesInnerMemory: Bool = false
    ) {
      self.requiresGrad = requiresGrad
      self.isLeaf = isLeaf
      self.viewGradient = viewGradient
      self.requiresGradAfter = requiresGradAfter ?? requiresGrad
      self.failureAfter = failureAfter
      self.base = base
      self.subclass = subclass
      self.sharesInnerMemory = sharesInnerMemory
    }

    /// What the tensor is made of; nil for an ordinary tensor, which its placeholder's metadata describes.
    public var structure: TensorStructure? { subclass.map { .wrapper($0) } }
  }

  /// The tensor that an input is a view of, as autograd knows it; the input itself where it is no view.
  public struct BaseFacts: Hashable, Sendable {
    /// The first input with this base.
    public var number: Int
    public var meta: TensorMeta
    public var requiresGrad: Bool
    public var isLeaf: Bool
    public var requiresGradAfter: Bool
    public var failureAfter: AutogradError?
    /// The views that lead from it to the input.
    public var views: [ViewStep]
    /// What it is made of; nil for an ordinary tensor.
    public var subclass: SubclassMeta?

    public init(
      number: Int, meta: TensorMeta, requiresGrad: Bool, isLeaf: Bool, requiresGradAfter: Bool,
      failureAfter: AutogradError?, views: [ViewStep], subclass: SubclassMeta? = nil
    ) {
      self.number = number
      self.meta = meta
      self.requiresGrad = requiresGrad
      self.isLeaf = isLeaf
      self.requiresGradAfter = requiresGradAfter
      self.failureAfter = failureAfter
      self.views = views
      self.subclass = subclass
    }
  }

  public struct OutputFacts: Hashable, Sendable {
    public var requiresGrad: Bool
    /// Whether it is a leaf that the function itself asked gradients of.
    public var isRequiringLeaf: Bool
    /// Why eager autograd could not go back from it: something saved was overwritten. nil where it could.
    public var failure: AutogradError?

    public init(requiresGrad: Bool, isRequiringLeaf: Bool = false, failure: AutogradError? = nil) {
      self.requiresGrad = requiresGrad
      self.isRequiringLeaf = isRequiringLeaf
      self.failure = failure
    }
  }

  public init(
    module: GraphModule, inputPositions: [Int], closedOver: [Tensor], guardedReads: [GuardedRead] = [],
    signature: InputSignature, inputs: [InputFacts], outputs: [OutputFacts], gradModeAfter: Bool?
  ) {
    self.module = module
    self.inputPositions = inputPositions
    self.closedOver = closedOver
    self.guardedReads = guardedReads
    self.signature = signature
    self.inputs = inputs
    self.outputs = outputs
    self.gradModeAfter = gradModeAfter
  }

  /// nil where it could go back from one of the views, which is what the base is there for.
  private func failure(ofViewsOfBase number: Int, _ meta: ViewAndMutationMeta) -> AutogradError? {
    let followers = meta.followers(ofBase: number).filter { meta.outputs[$0].requiresGrad }
    let failures = followers.map { outputs.indices.contains($0) ? outputs[$0].failure : nil }
    return failures.allSatisfy { $0 != nil } ? failures.first ?? nil : nil
  }

  /// Why eager autograd could not go back from a result of the functional graph; nil where it could.
  public func failure(of result: ViewAndMutationMeta.Result, _ meta: ViewAndMutationMeta) -> AutogradError? {
    switch result {
    case .token: nil
    case .mutatedInput(let index): inputs[index].failureAfter
    // What the caller does not get has none of its own.
    case .output(let index), .outputHistory(let index): outputs.indices.contains(index) ? outputs[index].failure : nil
    case .intermediateBase(let number): failure(ofViewsOfBase: number, meta)
    }
  }

  /// Whether calls are to take part in autograd.
  public var needsAutograd: Bool {
    signature.isGradEnabled && !signature.isInferenceMode && inputs.contains(where: \.requiresGrad)
  }

  /// Those of the inputs that require gradients of which autograd keeps a use for what the function gives, though maybe for nothing.
  public func keptInputs(among candidates: [Int]) throws -> [Int] {
    let candidates = candidates.filter { inputs[$0].requiresGrad }
    if candidates.isEmpty { return [] }
    // What nothing is done with does not live on.
    var graph = module.graph
    _ = try DeadCodeElimination().run(on: &graph)
    let placeholders = graph.placeholders
    return candidates.filter { graph.isUsedBeforeLayoutChange(placeholders[$0]) }
  }

  /// Whether an input or a constant is of a wrapper subclass.
  public var usesSubclasses: Bool {
    inputs.contains { $0.subclass != nil } || module.attributes.values.contains { $0.subclass != nil }
  }
}
