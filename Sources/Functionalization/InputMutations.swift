import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// What the captured function did to its inputs, and who brings that about: the functional graph or the runtime.
struct InputMutations {
  let infos: [ViewAndMutationMeta.InputInfo]

  /// - Parameter views: What the inputs were when the function started.
  init(of inputs: [CapturedTensor], from views: [AliasView], _ capture: AOTGraphCapture) throws {
    infos = try inputs.indices.map { index in
      let (input, base, facts) = (inputs[index], views[index], capture.inputs[index])
      let writes = base.memory.writes
      var info = ViewAndMutationMeta.InputInfo(
        requiresGrad: facts.requiresGrad, isLeaf: facts.isLeaf, requiresGradAfter: facts.requiresGradAfter)
      if input.view.memory !== base.memory {
        info.storageChange = input.view.metadata.gradMode == false ? .underNoGrad : .tracked
      } else if input.view !== base {
        guard input.view.steps.allSatisfy({ $0.target.inPlaceVariantDefinition != nil }) else {
          throw OperatorError(
            .notImplemented, nil,
            "an input is made a view of itself; return the view, or set_ it outside of the function",
            source: input.view.metadata.source)
        }
        info.mutatesMetadata = true
        info.layoutChanges = input.view.steps
        let layout = try input.view.eagerMeta.layout
        info.layoutAfter = layout == base.memory.eager.layout ? nil : layout
      }
      info.onlyAdvancesVersion = base.memory.hasLayoutChanges && !info.mutatesMetadata && writes.count == 0
      guard writes.count > 0 else { return info }
      info.mutatesData = true
      info.mutationsUnderNoGrad = writes.areAllUnderNoGrad
      info.mutationsHiddenFromAutograd = writes.areAllHidden
      info.mutation = .inGraph
      if capture.needsAutograd, !writes.areAllUnseen, facts.requiresGrad || facts.requiresGradAfter {
        info.mutation = .outOfGraph
      }
      return info
    }
  }
}
