import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// What the captured function did to its inputs, and who brings that about: the functional graph or the runtime.
struct InputMutations {
  let infos: [ViewAndMutationMeta.InputInfo]

  /// - Parameter recorder: Recorded what was computed of the inputs.
  init(of interpretation: CaptureInterpretation, recorder: FunctionalRecorder) throws {
    let capture = interpretation.capture
    let graph = capture.module.graph
    let placeholders = graph.placeholders
    infos = try interpretation.inputs.indices.map { index in
      let (input, base) = (interpretation.inputs[index], interpretation.inputViews[index])
      let facts = capture.inputs[index]
      let isStatic = if case .closedOver = graph[metadata: placeholders[index]].descriptor { true } else { false }
      let writes = base.memory.writes
      var info = ViewAndMutationMeta.InputInfo(
        requiresGrad: facts.requiresGrad, isLeaf: facts.isLeaf, isView: facts.viewGradient != .none,
        isStatic: isStatic,
        requiresGradAfter: facts.requiresGradAfter)
      if input.view.memory !== base.memory {
        info.storageChange =
          input.hasGrown ? .grown : input.view.metadata.gradMode == false ? .underNoGrad : .tracked
      } else if input.view !== base {
        guard input.view.steps.allSatisfy({ $0.target.inPlaceVariantDefinition != nil }) else {
          throw OperatorError(
            .notImplemented, nil,
            "an input is made a view of itself; return the view, or set_ it outside of the function",
            source: input.view.metadata.source)
        }
        info.mutatesMetadata = true
        info.isUsedBeforeLayoutChange = graph.isUsedBeforeLayoutChange(placeholders[index])
        info.layoutChanges = zip(input.view.steps, input.view.chain { _ in true }.reversed()).map { step, view in
          var step = step
          step.isWithoutGrad = view.isLayoutChangedWithoutGrad
          return step
        }
        let layout = try input.view.eagerMeta.layout
        info.layoutAfter = layout == base.memory.eager.layout ? nil : layout
      }
      info.onlyAdvancesVersion = base.memory.layoutChangeCount > 0 && !info.mutatesMetadata && writes.count == 0
      guard writes.count > 0 else { return info }
      info.mutatesData = true
      info.mutationsUnderNoGrad = writes.areAllUnderNoGrad
      info.mutationsHiddenFromAutograd = writes.areAllHidden
      info.mutation = .inGraph
      if capture.needsAutograd, !writes.areAllUnseen, facts.requiresGrad || facts.requiresGradAfter {
        guard !facts.isLeaf || !facts.requiresGrad else {
          throw OperatorError(
            .notImplemented, nil,
            "an input that is a view, but a leaf that requires a gradient itself, is written to; pass what it is a view of",
            source: writes.last.source)
        }
        info.mutation = .outOfGraph
      } else if recorder.elements(of: base.value) === interpretation.inputValues[index] {
        // Written over with its own elements.
        (info.mutatesData, info.mutation) = (false, .none)
        info.onlyAdvancesVersion = true
      }
      return info
    }
  }
}
