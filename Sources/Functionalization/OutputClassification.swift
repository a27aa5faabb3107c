import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// What each output of the captured function is, and which values the functional graph must return for them.
struct OutputClassification {
  /// A value that the functional graph returns.
  struct Returned {
    var view: AliasView
    var descriptor: Descriptor
  }

  private(set) var infos: [ViewAndMutationMeta.OutputInfo] = []
  private(set) var outputs: [Returned] = []
  private(set) var intermediateBases: [Returned] = []
  /// Outputs that have another gradient history than what they are views of.
  private(set) var histories: [Returned] = []

  private let inputs: [CapturedTensor]
  /// By position, ascending.
  private let inputsGivenMemory: [Int]
  /// The number of tensors that are outputs or what outputs are views of.
  private let outputCount: Int
  private let recordsGradients: Bool
  /// Whether the call is made with grad mode off, or in inference mode.
  private let isWithoutGrad: Bool
  /// Per block of memory that is no input's: the distinct tensors over it that are returned.
  private var tensorsByMemory: [ObjectIdentifier: [CapturedTensor]] = [:]
  /// The first position at which a tensor is returned.
  private var positions: [ObjectIdentifier: Int] = [:]
  private var baseNumbers: [ObjectIdentifier: Int] = [:]

  /// - Parameters:
  ///   - outputs: What the captured graph returns, and detached tensors that several of them are views of.
  ///   - givenMemory: What inputs are that were given other memory.
  ///   - inputs: The tensors that were passed in.
  ///   - capture: What was captured.
  init(
    _ outputs: [CapturedValue], givenMemory: [CapturedValue], inputs: [CapturedTensor], of capture: AOTGraphCapture
  ) throws {
    self.inputs = inputs
    outputCount = outputs.count
    recordsGradients = capture.needsAutograd
    isWithoutGrad = !capture.signature.isGradEnabled || capture.signature.isInferenceMode
    inputsGivenMemory = inputs.indices.filter { inputs[$0].view.memory.origin != .input($0) }
    let hidden = outputs.count - capture.outputs.count
    let facts =
      capture.outputs + Array(repeating: .init(requiresGrad: false), count: hidden)
      + inputsGivenMemory.map { input in
        // What gives an input a history has one itself.
        .init(requiresGrad: capture.inputs[input].requiresGradAfter && !capture.inputs[input].requiresGrad)
      }
    let elements = outputs + givenMemory
    for (position, element) in elements.enumerated() {
      guard let tensor = element.reference else { continue }
      if positions[ObjectIdentifier(tensor)] != nil { continue }
      positions[ObjectIdentifier(tensor)] = position
      tensorsByMemory[ObjectIdentifier(tensor.view.memory), default: []].append(tensor)
    }
    for (position, element) in elements.enumerated() {
      infos.append(try classify(element, at: position, facts[position]))
    }
  }

  private mutating func classify(
    _ element: CapturedValue, at position: Int, _ facts: AOTGraphCapture.OutputFacts
  ) throws -> ViewAndMutationMeta.OutputInfo {
    guard let tensor = element.reference else {
      let constant = try element.map { (_: CapturedTensor) throws -> Constant in
        throw OperatorError(.argument, nil, "output \(position) is a nested list of tensors; outputs must be flat")
      }
      return .init(kind: .constant(constant), meta: nil, requiresGrad: false)
    }
    let view = tensor.view
    var meta = try view.eagerMeta
    meta.requiresGrad = facts.requiresGrad
    func info(
      _ kind: ViewAndMutationMeta.OutputInfo.Kind, _ views: [ViewStep] = [], ownHistory: Int? = nil
    ) -> ViewAndMutationMeta.OutputInfo {
      .init(
        kind: kind, views: views, meta: meta, requiresGrad: facts.requiresGrad,
        isRequiringLeaf: facts.isRequiringLeaf, ownHistory: ownHistory, specialView: view.special)
    }
    if let index = inputs.firstIndex(where: { $0 === tensor }) { return info(.isInput(index)) }
    if let first = positions[ObjectIdentifier(tensor)], first < position { return info(.aliasOfOutput(first)) }
    // A view that is made anew from its base gets the base's gradient history.
    func regenerated(
      _ kind: ViewAndMutationMeta.OutputInfo.Kind, by steps: [ViewStep]
    ) throws -> ViewAndMutationMeta.OutputInfo {
      // Views of a view with such a history follow from it.
      let after = view.chain { !$0.ownsHistory }
      guard recordsGradients, facts.requiresGrad, view.hasOwnHistory, steps.count > after.count else {
        return info(kind, steps)
      }
      histories.append(Returned(view: after.last?.parent ?? view, descriptor: .output(position)))
      return info(kind, steps, ownHistory: steps.count - after.count)
    }
    if !facts.requiresGrad, isWithoutGrad,
      let view = view.chain(while: { _ in true }).first(where: { $0.metadata.gradMode == true })
    {
      throw OperatorError(
        .notImplemented, view.step?.target.name,
        "takes a view, which is returned, with gradients on inside of a call with gradients off; leave enableGrad to the caller",
        source: view.metadata.source)
    }
    if position < outputCount, let (input, steps) = viewOfGivenMemory(view) {
      var alias = info(.aliasOfInput(input), steps)
      alias.isMadeAfterStorageChange = true
      return alias
    }
    if let (other, steps) = detachedBase(of: view) {
      return try regenerated(.aliasOfOutput(other), by: steps)
    }
    if case .input(let index) = view.memory.origin {
      var alias = try regenerated(.aliasOfInput(index), by: view.steps)
      alias.isMadeBeforeWrites = view.isMadeBeforeWrites && alias.ownHistory == nil
      return alias
    }
    let siblings = tensorsByMemory[ObjectIdentifier(view.memory)] ?? []
    let first = first(of: siblings)
    if first === tensor || siblings.count == 1 && !isFollowed(view, facts) {
      outputs.append(Returned(view: view, descriptor: .output(position)))
      return info(.nonAlias)
    }
    if let first, let position = positions[ObjectIdentifier(first)] {
      return try regenerated(.aliasOfOutput(position), by: Array(view.steps.dropFirst(first.view.steps.count)))
    }
    let next = intermediateBases.count
    let number = baseNumbers[ObjectIdentifier(view.memory)] ?? next
    if number == next {
      baseNumbers[ObjectIdentifier(view.memory)] = number
      intermediateBases.append(Returned(view: root(of: siblings), descriptor: .intermediateBase(number)))
    }
    let changes = intermediateBases[number].view.steps
    return try regenerated(.aliasOfIntermediate(number), by: Array(view.steps.dropFirst(changes.count)))
  }

  /// Where a view was taken of an input after that was given other memory.
  private func viewOfGivenMemory(_ view: AliasView) -> (input: Int, steps: [ViewStep])? {
    if inputsGivenMemory.isEmpty { return nil }
    let views = view.chain { _ in true }
    for input in inputsGivenMemory {
      guard let end = views.firstIndex(where: { $0 === inputs[input].view }) else { continue }
      return (input, views[..<end].reversed().compactMap(\.step))
    }
    return nil
  }

  /// What all of these tensors over one block of memory are views of: in the layout that it has now, where they were taken since.
  private func root(of siblings: [CapturedTensor]) -> AliasView {
    let roots = siblings.map(\.view.root)
    return roots.allSatisfy { $0 === roots[0] } ? roots[0] : siblings[0].view.base
  }

  /// The returned tensor, if any, that the others over its memory are views of: in the layout that it has now.
  private func first(of siblings: [CapturedTensor]) -> CapturedTensor? {
    guard let first = siblings.first(where: { $0.view.isFirst }) else { return nil }
    let changes = first.view.steps
    let isBase =
      changes.isEmpty
      || siblings.allSatisfy { other in
        let steps = other.view.steps
        return other === first || steps.count > changes.count && steps.starts(with: changes) { $0.isSameView(as: $1) }
      }
    return isBase ? first : nil
  }

  /// Whether autograd treats a view otherwise than a tensor of its own: it has its gradient history from its base, and neither one
  /// that was made with grad mode off nor one of several that a call gave may be written to.
  private func isFollowed(_ view: AliasView, _ facts: AOTGraphCapture.OutputFacts) -> Bool {
    let chain = view.chain { !$0.ownsHistory }
    if chain.allSatisfy(\.isLayoutChange) { return false }
    if recordsGradients && facts.requiresGrad { return true }
    return chain.contains { view in
      guard let step = view.step else { return false }
      return step.givesSeveralViews || step.isWithoutGrad || isWithoutGrad && view.metadata.gradMode != true
    }
  }

  /// Where a view was taken of a detached tensor that is another output: autograd knows that one as the view's base.
  private func detachedBase(of view: AliasView) -> (output: Int, steps: [ViewStep])? {
    var steps: [ViewStep] = []
    for step in view.chain(while: { _ in true }) {
      if step !== view, step.isDetached {
        let tensors = tensorsByMemory[ObjectIdentifier(view.memory)] ?? []
        guard let base = tensors.first(where: { $0.view === step }), let output = positions[ObjectIdentifier(base)],
          output < outputCount, !inputs.contains(where: { $0 === base })
        else { return nil }
        return (output, steps.reversed())
      }
      if let step = step.step { steps.append(step) }
    }
    return nil
  }
}

extension [CapturedValue] {
  /// Detached tensors that are none of these outputs, though several of them are views of one: to autograd they have it as their
  /// base.
  func detachedBases(_ facts: [AOTGraphCapture.OutputFacts]) -> [CapturedValue] {
    let returned = Set(compactMap(\.reference).map { ObjectIdentifier($0.view) })
    var seen: Set<ObjectIdentifier> = []
    var viewCounts: [ObjectIdentifier: Int] = [:]
    var bases: [CapturedValue] = []
    for (element, facts) in zip(self, facts) {
      // One with a history has one of its own.
      guard let tensor = element.reference, !facts.requiresGrad, seen.insert(ObjectIdentifier(tensor)).inserted,
        let base = tensor.view.chain(while: { _ in true }).first(where: { $0 !== tensor.view && $0.isDetached }),
        !returned.contains(ObjectIdentifier(base))
      else { continue }
      viewCounts[ObjectIdentifier(base), default: 0] += 1
      if viewCounts[ObjectIdentifier(base)] == 2 { bases.append(.reference(CapturedTensor(base))) }
    }
    return bases
  }
}
