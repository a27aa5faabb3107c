import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// What a functional graph does after its last computation: copy into inputs, and return.
struct GraphEnding {
  let interpretation: CaptureInterpretation
  let recorder: FunctionalRecorder
  private var returned: ReturnedValues
  private var values: [Value] = []
  private var descriptors: [Descriptor] = []

  init(_ interpretation: CaptureInterpretation, recorder: FunctionalRecorder) {
    self.interpretation = interpretation
    self.recorder = recorder
    returned = ReturnedValues(
      replay: interpretation.replay, visible: interpretation.inputValues + interpretation.constantValues)
  }

  /// Returns the tokens of what happened last.
  mutating func returnTokens() {
    for (index, token) in interpretation.effects.tokens.enumerated() { append(token, .token(index)) }
  }

  /// Returns the new value of each input that the runtime is to write to.
  mutating func returnMutatedInputs(_ infos: [ViewAndMutationMeta.InputInfo]) throws {
    for (index, info) in infos.enumerated() where info.mutation == .outOfGraph {
      let base = interpretation.inputViews[index]
      let value = try recorder.with(base.memory.writes.last) { try returned.elements(base.value) }
      append(value, .mutated(descriptor(ofInput: index)))
    }
  }

  mutating func returnOutputs(_ outputs: [OutputClassification.Returned]) throws {
    for output in outputs { append(try returned.exact(output.view), output.descriptor) }
  }

  /// Returns outputs once more of which only the elements and their gradient history matter.
  mutating func returnHistories(_ outputs: [OutputClassification.Returned]) throws {
    for output in outputs {
      append(try returned.elements(interpretation.replay.read(output.view)), output.descriptor)
    }
  }

  /// Copies new values into the inputs whose writes stay in the graph. Everything else was computed before.
  mutating func copyIntoInputs(_ infos: [ViewAndMutationMeta.InputInfo]) throws {
    let written = infos.indices.filter { infos[$0].mutation == .inGraph }
    let storages = Set(written.map { ObjectIdentifier(interpretation.inputValues[$0].storage) })
    var copies: [(input: Tensor, value: Tensor, metadata: NodeMetadata)] = []
    for index in written {
      let base = interpretation.inputViews[index]
      let input = interpretation.inputValues[index]
      var metadata = base.memory.writes.last
      metadata.gradMode = false
      var value = recorder.elements(of: base.value)
      // What an earlier copy overwrites must have been read before.
      if storages.contains(ObjectIdentifier(value.storage)) {
        value = try recorder.with(metadata) { try value.clone() }
      }
      copies.append((input, value, metadata))
    }
    for copy in copies { _ = try recorder.with(copy.metadata) { try copy.input.copy_(copy.value) } }
  }

  func finish() throws { try recorder.tracer.output(.tuple(values), descriptors: descriptors) }

  private mutating func append(_ value: Tensor, _ descriptor: Descriptor) {
    values.append(.reference(value))
    descriptors.append(descriptor)
  }

  private func descriptor(ofInput index: Int) -> Descriptor {
    let node = recorder.tracer.node(of: interpretation.inputValues[index])
    return node.flatMap { recorder.tracer.graph[metadata: $0].descriptor } ?? .input(index)
  }
}
