import AOTArtifacts
import GraphIR
import Operators
import TensorCore

extension AOTGraphCapture {
  /// The captured function without writes and without views that a caller could see, and all that it takes to give the caller
  /// both back.
  ///
  /// A call in place becomes its functional operator and, on a view, the view's inverse on what it is a view of. Writes to
  /// inputs that autograd need not see stay in the graph, as copies at its very end.
  ///
  /// - Throws: `OperatorError` with the user's source location, where a write has no functional form: one to memory that several
  ///   inputs share, one through a view without an inverse, or one to arguments of an operator that says nothing else about it.
  public func functionalized() throws -> FunctionalGraph {
    let recorder = FunctionalRecorder(recordsGradients: needsAutograd)
    return try recorder.recording {
      var interpretation = CaptureInterpretation(self, recorder: recorder)
      let result = try interpretation.run()
      let inputs = interpretation.inputs
      let elements = result.elements ?? [result]
      let outputs = try OutputClassification(
        elements + elements.detachedBases(self.outputs), givenMemory: interpretation.inputsWithOtherMemory,
        inputs: inputs, of: self)
      let wantsGradient = self.inputs.map { needsAutograd && $0.requiresGrad }
      let mutations = try InputMutations(of: interpretation, recorder: recorder)

      var ending = GraphEnding(interpretation, recorder: recorder)
      ending.returnTokens()
      try ending.returnMutatedInputs(mutations.infos)
      try ending.returnOutputs(outputs.outputs + outputs.intermediateBases)
      try ending.returnHistories(outputs.histories)
      try ending.copyIntoInputs(mutations.infos)
      try ending.finish()

      var functional = module
      functional.graph = recorder.tracer.graph
      try FunctionalPasses(requiresGrad: wantsGradient).pipeline.run(on: &functional)
      let meta = ViewAndMutationMeta(
        inputs: mutations.infos, outputs: outputs.infos, hiddenOutputCount: outputs.infos.count - elements.count,
        intermediateBaseCount: outputs.intermediateBases.count,
        gradModeAfter: gradModeAfter, effects: interpretation.effects.kinds,
        randomBlockCount: interpretation.random.blockCount)
      return FunctionalGraph(module: functional, meta: meta)
    }
  }
}
