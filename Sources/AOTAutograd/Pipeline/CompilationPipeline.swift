import AOTArtifacts
import Functionalization
import GraphIR
import JointTracing
import Partitioning
import RuntimeWrappers
import TensorCore

/// Stage 2: from a captured function to one that runs. The only place that knows every stage.
struct CompilationPipeline {
  private let configuration: AOTConfiguration

  init(_ configuration: AOTConfiguration) { self.configuration = configuration }

  struct Compiled {
    let function: RuntimeFunction
    let stages: AOTStages
  }

  func compile(_ capture: AOTGraphCapture) throws -> Compiled {
    var clock = PhaseClock()
    try verify(capture.module, as: .captured)
    let functional = try clock.measure(.functionalize) { try capture.functionalized() }
    try verify(functional.module, as: .functional)
    if !capture.needsAutograd { try refuseHistories(capture, functional.meta) }
    let differentiated =
      capture.needsAutograd ? try clock.measure(.differentiate) { try functional.differentiated() } : nil
    guard var joint = differentiated, !joint.differentiableOutputs.isEmpty else {
      return try compileInference(capture, functional, clock)
    }
    joint.module = try decomposed(joint.module)
    try verify(joint.module, as: .joint)
    let partition = try clock.measure(.partition) { try configuration.partitionerInUse.partition(joint) }
    // Both halves may read the constants that the joint graph's module holds.
    let forwardModule = joint.module.with(partition.forward)
    let backwardModule = joint.module.with(partition.backward)
    try verify(forwardModule, as: .forward)
    try verify(backwardModule, as: .backward)
    let forward = try clock.measure(.compile) { try compiler(.forward).compile(forwardModule, role: .forward) }
    let backward = LazyBackward(backwardModule, compiler: try compiler(.backward))
    let stack = wrappers(
      capture, functional, partition.forward,
      autograd: try AutogradJoin(capture, functional, joint, partition, backward: backward))
    var stages = stages(capture, functional, stack, workspace: forward.workspaceByteCount)
    stages.joint = joint.module.graph
    stages.forward = partition.forward
    stages.backward = partition.backward
    stages.savedByteCount = partition.savedByteCount
    stages.partitionReport = partition.report
    stages.durations = clock.durations
    return Compiled(function: stack.wrap { try forward.run($0) }, stages: stages)
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

  private func compileInference(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, _ clock: PhaseClock
  ) throws -> Compiled {
    var clock = clock
    var module = functional.module
    if capture.needsAutograd {
      _ = try HistoryGraftRemoval().run(on: &module)
      _ = try DeadCodeElimination().run(on: &module)
    }
    module = try decomposed(module)
    try verify(module, as: .functional)
    let graph = try clock.measure(.compile) { try compiler(.inference).compile(module, role: .inference) }
    let autograd = capture.needsAutograd ? AutogradJoin(capture, functional) : nil
    let stack = wrappers(capture, functional, module.graph, autograd: autograd)
    var stages = stages(capture, functional, stack, workspace: graph.workspaceByteCount)
    stages.forward = module.graph
    stages.durations = clock.durations
    return Compiled(function: stack.wrap { try graph.run($0) }, stages: stages)
  }

  private func wrappers(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, _ graph: Graph, autograd: AutogradJoin?
  ) -> WrapperStack {
    WrapperStack(
      capture, functional.meta, autograd: autograd,
      restridden: configuration.mayRestrideResults ? FakifiedOutput(graph) : nil,
      checksInvariants: configuration.debugAssertions)
  }

  private func decomposed(_ module: GraphModule) throws -> GraphModule {
    guard !configuration.decompositions.isEmpty else { return module }
    var module = try module.decomposed(by: configuration.decompositions)
    // Decompositions compute again what others have computed.
    _ = try CommonSubexpressionElimination().run(on: &module)
    return module
  }

  private func compiler(_ role: GraphRole) throws -> any GraphCompiler {
    guard let compiler = configuration.compiler(for: role) else {
      throw AOTError(.unsupported, "the configuration has no compiler for \(role.rawValue) graphs")
    }
    return compiler
  }

  private func stages(
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
  fileprivate func with(_ graph: Graph) -> GraphModule {
    var module = self
    module.graph = graph
    return module
  }
}
