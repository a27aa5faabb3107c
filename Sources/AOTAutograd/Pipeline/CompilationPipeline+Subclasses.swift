import AOTArtifacts
import EagerAutograd
import GraphIR
import JointTracing
import Partitioning
import RuntimeWrappers

// Functions of wrapper tensors. Everything up to the partition is as for ordinary tensors, and on outer ones: autograd
// is. The two halves are unwrapped one by one, so that the backward half can be unwrapped for gradients of another
// structure, too.
extension CompilationPipeline {
  /// nil where no gradient can flow.
  func compileUnwrapped(_ subject: Subject, _ clock: inout PhaseClock) throws -> Compiled? {
    let (capture, functional) = (subject.capture, subject.functional)
    let joint = try clock.measure(.differentiate) { try functional.differentiated() }
    if joint.differentiableOutputs.isEmpty { return nil }
    guard SavedTensorHooks.inUse == nil else {
      throw AOTError(
        .unsupported,
        "hooks for saved tensors do not apply to a compiled function of wrapper tensors; call it uncompiled")
    }
    try verify(joint.module, as: .joint)
    let partition = try clock.measure(.partition) { try configuration.partitionerInUse.partition(joint) }
    var dense = try unwrapped(joint.module.with(partition.forward), capture)
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
    let forward = try clock.measure(.compile) { try compiler(.forward).compile(dense.module, role: .forward) }
    let stack = wrappers(
      subject, dense.module.graph,
      autograd: try AutogradJoin(
        functional, joint, partition, keeping: capture.keptInputs, failures: subject.failure, backward: backward,
        differentiableBackward: nil),
      subclass: SubclassWrapper(dense, resultCount: partition.forwardOutputCount, meta: functional.meta))
    var stages = stages(subject, stack, workspace: forward.workspaceByteCount)
    stages.joint = joint.module.graph
    stages.forward = dense.module.graph
    stages.backward = backward.dense.module.graph
    stages.savedByteCount = savedByteCount(partition, saved)
    stages.partitionReport = partition.report
    stages.durations = clock.durations
    return Compiled(function: stack.wrap { try forward.run(tensors: $0) }, stages: stages)
  }

  /// A graph of the function on inner tensors. What it takes besides the function's inputs are ordinary tensors.
  func unwrapped(_ module: GraphModule, _ capture: AOTGraphCapture) throws -> DenseGraph {
    let others = module.graph.placeholders.dropFirst(capture.inputs.count)
    return try module.unwrappingSubclasses(inputs: capture.inputs.map(\.structure) + others.map { _ in nil })
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
