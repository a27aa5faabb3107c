import AOTArtifacts
import GraphIR
import Partitioning
import RuntimeWrappers

// Functions of wrapper tensors. Everything up to the partition is as for ordinary tensors, and on outer ones: autograd
// is. The two halves are unwrapped one by one, so that the backward half can be unwrapped for gradients of another
// structure, too.
extension CompilationPipeline {
  func compileUnwrapped(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, _ joint: JointGraph, _ outside: Outside
  ) throws -> Compiled {
    try verify(joint.module, as: .joint)
    let partition = try configuration.partitionerInUse.partition(joint)
    var dense = try joint.module.with(partition.forward).unwrappingSubclasses(inputs: capture.inputs.map(\.structure))
    dense.module = try decomposed(dense.module)
    try verify(dense.module, as: .forward)
    let structures = try dense.results.map { result in
      guard let structure = result.reference else {
        throw AOTError(.unsupported, "a function of wrapper tensors cannot return or save a number")
      }
      return structure
    }
    let saved = Array(structures.dropFirst(partition.forwardOutputCount))
    let backward = try SubclassBackward(
      joint.module.with(partition.backward), saved: saved,
      outputs: joint.differentiableOutputs.map { structures[$0] }, compiler: try compiler(.backward)
    ) { module in
      let module = try decomposed(module)
      try verify(module, as: .backward)
      return module
    }
    let forward = try compiler(.forward).compile(dense.module, role: .forward)
    let stack = WrapperStack(
      outside.capture, functional.meta, syntheticBase: outside.syntheticBase,
      autograd: try AutogradJoin(capture, functional, joint, partition, backward: backward),
      subclass: SubclassWrapper(dense, resultCount: partition.forwardOutputCount, meta: functional.meta))
    var stages = stages(outside.capture, functional, stack, workspace: forward.workspaceByteCount)
    stages.joint = joint.module.graph
    stages.forward = dense.module.graph
    stages.backward = backward.dense.module.graph
    stages.savedByteCount = savedByteCount(partition, saved)
    stages.partitionReport = partition.report
    return Compiled(function: stack.wrap { try forward.run($0) }, stages: stages)
  }

  /// Bytes of the inner tensors that the partition saves, each storage of the outer ones once, inputs left out.
  private func savedByteCount(_ partition: Partition, _ saved: [TensorStructure]) -> Int {
    var storages: Set<String> = []
    return zip(partition.savedTensors, saved).reduce(0) { total, pair in
      let (value, structure) = pair
      let isNew = value.origin != .input && value.origin != .viewOfInput && storages.insert(value.storage).inserted
      return isNew ? total + structure.leaves.reduce(0) { $0 + $1.byteCount } : total
    }
  }

  /// - Throws: `AOTError` where the function writes to a tensor that shares inner memory with another input: the graph
  ///   on outer tensors does not know that they are one.
  func refuseSharedInnerMemory(_ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta) throws {
    for (position, (facts, info)) in zip(capture.inputs, meta.inputs).enumerated()
    where facts.sharesInnerMemory && info.mutatesData {
      throw AOTError(
        .unsupported,
        "input \(position) is written to and shares the memory of an inner tensor with another input, which is no view of it; "
          + "clone one of them, or pass views of one tensor")
    }
  }
}
