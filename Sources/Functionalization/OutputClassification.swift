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
  private let recordsGradients: Bool
  /// Per block of memory that is no input's: the distinct tensors over it that are returned.
  private var tensorsByMemory: [ObjectIdentifier: [CapturedTensor]] = [:]
  /// The first position at which a tensor is returned.
  private var positions: [ObjectIdentifier: Int] = [:]
  private var baseNumbers: [ObjectIdentifier: Int] = [:]

  /// - Parameters:
  ///   - elements: What the captured graph returns, and what inputs are that were given other memory.
  ///   - facts: Per output, what autograd knows of the eager one.
  ///   - inputs: The tensors that were passed in.
  ///   - recordsGradients: Whether gradients will be taken of the graph.
  init(
    _ elements: [CapturedValue], facts: [AOTGraphCapture.OutputFacts], inputs: [CapturedTensor], recordsGradients: Bool
  ) throws {
    self.inputs = inputs
    self.recordsGradients = recordsGradients
    for (position, element) in elements.enumerated() {
      guard let tensor = element.reference else { continue }
      if positions[ObjectIdentifier(tensor)] != nil { continue }
      positions[ObjectIdentifier(tensor)] = position
      tensorsByMemory[ObjectIdentifier(tensor.view.memory), default: []].append(tensor)
    }
    for (position, element) in elements.enumerated() {
      let facts = facts.indices.contains(position) ? facts[position] : .init(requiresGrad: false)
      infos.append(try classify(element, at: position, facts))
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
    ) -> ViewAndMutationMeta.OutputInfo {
      // Views of a view with such a history follow from it.
      let after = view.chain { !$0.ownsHistory }
      guard recordsGradients, facts.requiresGrad, view.hasOwnHistory, steps.count > after.count else {
        return info(kind, steps)
      }
      histories.append(Returned(view: after.last?.parent ?? view, descriptor: .output(position)))
      return info(kind, steps, ownHistory: steps.count - after.count)
    }
    if let (other, steps) = detachedBase(of: view, before: position) {
      return regenerated(.aliasOfOutput(other), by: steps)
    }
    if case .input(let index) = view.memory.origin {
      var alias = regenerated(.aliasOfInput(index), by: view.steps)
      alias.isMadeBeforeWrites = view.isMadeBeforeWrites && alias.ownHistory == nil
      return alias
    }
    let siblings = tensorsByMemory[ObjectIdentifier(view.memory)] ?? []
    // Eagerly, a view that was made with grad mode off requires a gradient since its base does.
    let sharesRequiring =
      recordsGradients && facts.requiresGrad && !view.hasOwnHistory && view.steps.contains(where: \.isWithoutGrad)
    if view.parent == nil || siblings.count == 1 && !sharesRequiring {
      outputs.append(Returned(view: view, descriptor: .output(position)))
      return info(.nonAlias)
    }
    if let base = siblings.first(where: { $0.view.parent == nil }), let first = positions[ObjectIdentifier(base)] {
      return regenerated(.aliasOfOutput(first), by: view.steps)
    }
    let next = intermediateBases.count
    let number = baseNumbers[ObjectIdentifier(view.memory)] ?? next
    if number == next {
      baseNumbers[ObjectIdentifier(view.memory)] = number
      intermediateBases.append(Returned(view: view.base, descriptor: .intermediateBase(number)))
    }
    return regenerated(.aliasOfIntermediate(number), by: view.steps)
  }
  /// Where a view was taken of a detached tensor that is an earlier output: autograd knows that one as the view's base.
  private func detachedBase(of view: AliasView, before position: Int) -> (output: Int, steps: [ViewStep])? {
    var steps: [ViewStep] = []
    for step in view.chain(while: { _ in true }) {
      if step !== view, step.step?.target === OperatorLibrary.detach {
        let tensors = tensorsByMemory[ObjectIdentifier(view.memory)] ?? []
        guard let base = tensors.first(where: { $0.view === step }), let output = positions[ObjectIdentifier(base)],
          output < position, !inputs.contains(where: { $0 === base })
        else { return nil }
        return (output, steps.reversed())
      }
      if let step = step.step { steps.append(step) }
    }
    return nil
  }
}
