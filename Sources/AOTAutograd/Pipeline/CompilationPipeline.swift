import AOTArtifacts
import EagerAutograd
import Functionalization
import GraphIR
import JointTracing
import Partitioning
import RuntimeWrappers
import TensorCore

/// Stage 2: from a captured function to one that runs. The only place that knows every stage.
struct CompilationPipeline {
  let configuration: AOTConfiguration

  init(_ configuration: AOTConfiguration) { self.configuration = configuration }

  struct Compiled {
    let function: RuntimeFunction
    let stages: AOTStages
  }

  func compile(_ original: AOTGraphCapture) throws -> Compiled {
    try verify(original.module, as: .captured)
    let (capture, syntheticBase) = try SyntheticBase.preCompile(original)
    if syntheticBase != nil { try verify(capture.module, as: .captured) }
    let outside = Outside(capture: original, syntheticBase: syntheticBase)
    let functional = try capture.functionalized()
    try verify(functional.module, as: .functional)
    if !capture.needsAutograd { try refuseHistories(capture, functional.meta) }
    try refuseSharedInnerMemory(capture, functional.meta)
    if capture.usesSubclasses, let compiled = try compileUnwrapped(capture, functional, outside) { return compiled }
    let failures = { capture.failure(of: $0, functional.meta) }
    guard capture.needsAutograd, !capture.usesSubclasses,
      let compiled = try compileJoint(functional, hooks: SavedTensorHooks.inUse, failures)
    else { return try compileInference(capture, functional, outside) }
    let stack = WrapperStack(original, functional.meta, syntheticBase: syntheticBase, autograd: compiled.autograd)
    var stages = stages(original, functional, stack, workspace: compiled.forward.workspaceByteCount)
    stages.joint = compiled.joint.module.graph
    stages.forward = compiled.partition.forward
    stages.backward = compiled.partition.backward
    stages.savedByteCount = compiled.partition.savedByteCount
    stages.partitionReport = compiled.partition.report
    let forward = compiled.forward
    return Compiled(function: stack.wrap { try forward.run($0) }, stages: stages)
  }

  private struct CompiledJoint {
    let joint: JointGraph
    let partition: Partition
    let forward: any CompiledGraph
    let autograd: AutogradJoin
  }

  /// Compiles a function that gradients are taken of; nil where none can flow.
  ///
  /// - Parameters:
  ///   - hooks: What becomes of saved tensors.
  ///   - failures: Why eager autograd could not go back from a result.
  private func compileJoint(
    _ functional: FunctionalGraph, hooks: SavedTensorHooks?,
    _ failures: (ViewAndMutationMeta.Result) -> AutogradError?
  ) throws -> CompiledJoint? {
    var joint = try functional.differentiated()
    if joint.differentiableOutputs.isEmpty { return nil }
    joint.module = try decomposed(joint.module)
    try verify(joint.module, as: .joint)
    var partition = try configuration.partitionerInUse.partition(joint)
    var module = joint.module
    if let hooks {
      let filter = configuration.savedTensorHooksFilter
      partition = try partition.applying(hooks, to: &module) { filter.accepts($0) }
    }
    // Both halves may read the constants that the joint graph's module holds.
    let forwardModule = module.with(partition.forward)
    let backwardModule = module.with(partition.backward)
    try verify(forwardModule, as: .forward)
    try verify(backwardModule, as: .backward)
    let forward = try compiler(.forward).compile(forwardModule, role: .forward)
    let backward = LazyBackward(backwardModule, compiler: try compiler(.backward))
    let differentiable = DifferentiableBackward { [self, joint] in
      try compileGradient(of: functional, joint)
    }
    let autograd = try AutogradJoin(
      functional, joint, partition, failures: failures, backward: backward, differentiableBackward: differentiable)
    return CompiledJoint(joint: joint, partition: partition, forward: forward, autograd: autograd)
  }

  /// The gradients of a function as a function of primals and tangents that autograd can differentiate.
  private func compileGradient(of functional: FunctionalGraph, _ joint: JointGraph) throws -> RuntimeFunction {
    guard !functional.hasGraftedHistories else {
      throw AutogradError(
        .notDifferentiable,
        "the gradient of a compiled function that calls functions with gradients of their own, or writes through detached "
          + "tensors, cannot be differentiated; call it uncompiled for createGraph")
    }
    let gradient = try joint.gradientGraph(functional.meta.inputs)
    if let compiled = try compileJoint(gradient, hooks: nil, { _ in nil }) {
      let forward = compiled.forward
      return compiled.autograd.wrap { try forward.run($0) }
    }
    let graph = try compiler(.inference).compile(gradient.module, role: .inference)
    return { try graph.run($0) }
  }

  /// - Throws: `AOTError` where an output of a function compiled without autograd would require a gradient all the same.
  private func refuseHistories(_ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta) throws {
    let graph = capture.module.graph
    for (position, (output, value)) in zip(meta.outputs, graph.result.elements ?? []).enumerated()
    where output.requiresGrad {
      switch output.kind {
      case .nonAlias, .aliasOfIntermediate:
        throw AOTError(
          .unsupported,
          "output \(position) requires a gradient though the function was called with gradients off or no argument that "
            + "requires one; leave enableGrad and setRequiresGrad to the caller",
          source: value.reference.flatMap { graph[metadata: $0].source })
      case .constant, .isInput, .aliasOfInput, .aliasOfOutput: break
      }
    }
  }

  /// What the caller sees of the function, and what lies between that and the graph's inputs.
  struct Outside {
    let capture: AOTGraphCapture
    let syntheticBase: SyntheticBase?
  }

  private func compileInference(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, _ outside: Outside
  ) throws -> Compiled {
    var module = functional.module
    if capture.needsAutograd {
      _ = try HistoryGraftRemoval().run(on: &module)
      _ = try DeadCodeElimination().run(on: &module)
    }
    var subclass: SubclassWrapper?
    if capture.usesSubclasses {
      let dense = try unwrapped(module, capture)
      module = dense.module
      subclass = SubclassWrapper(dense, resultCount: dense.results.count, meta: functional.meta)
    }
    module = try decomposed(module)
    try verify(module, as: .functional)
    let graph = try compiler(.inference).compile(module, role: .inference)
    let autograd = capture.needsAutograd ? AutogradJoin(functional) { capture.failure(of: $0, functional.meta) } : nil
    let stack = WrapperStack(
      outside.capture, functional.meta, syntheticBase: outside.syntheticBase, autograd: autograd,
      subclass: subclass)
    var stages = stages(outside.capture, functional, stack, workspace: graph.workspaceByteCount)
    stages.forward = module.graph
    return Compiled(function: stack.wrap { try graph.run($0) }, stages: stages)
  }

  func decomposed(_ module: GraphModule) throws -> GraphModule {
    guard !configuration.decompositions.isEmpty else { return module }
    var module = try module.decomposed(by: configuration.decompositions)
    // Decompositions compute again what others have computed.
    _ = try CommonSubexpressionElimination().run(on: &module)
    return module
  }

  func compiler(_ role: GraphRole) throws -> any GraphCompiler {
    guard let compiler = configuration.compiler(for: role) else {
      throw AOTError(.unsupported, "the configuration has no compiler for \(role.rawValue) graphs")
    }
    return compiler
  }

  func stages(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, _ stack: WrapperStack, workspace: Int?
  ) -> AOTStages {
    AOTStages(
      captured: capture.module.graph, functional: functional.module.graph, meta: functional.meta,
      forward: functional.module.graph,
      savedByteCount: 0,
      wrappers: stack.wrappers.map { type(of: $0).name }, workspaceByteCount: workspace, captureDuration: .zero,
      compileDuration: .zero)
  }
}

extension GraphModule {
  /// The same attributes with another graph.
  func with(_ graph: Graph) -> GraphModule {
    var module = self
    module.graph = graph
    return module
  }
}
