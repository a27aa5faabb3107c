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

  /// A function on its way: as the caller sees it, and as the graph does once inputs that share memory have one base.
  struct Subject {
    let outer: AOTGraphCapture
    let capture: AOTGraphCapture
    let functional: FunctionalGraph
    let syntheticBase: SyntheticBase?

    /// Why eager autograd could not go back from a result of the functional graph.
    func failure(of result: ViewAndMutationMeta.Result) -> AutogradError? {
      capture.failure(of: result, functional.meta)
    }
  }

  func compile(_ outer: AOTGraphCapture) throws -> Compiled {
    var clock = PhaseClock()
    try verify(outer.module, as: .captured)
    let (capture, syntheticBase) = try clock.measure(.functionalize) { try SyntheticBase.preCompile(outer) }
    if syntheticBase != nil { try verify(capture.module, as: .captured) }
    let functional = try clock.measure(.functionalize) { try capture.functionalized() }
    try verify(functional.module, as: .functional)
    let subject = Subject(outer: outer, capture: capture, functional: functional, syntheticBase: syntheticBase)
    if !capture.needsAutograd { try refuseHistories(capture, functional.meta) }
    try refuseSharedInnerMemory(capture, functional.meta)
    if capture.needsAutograd {
      let compiled =
        capture.usesSubclasses ? try compileUnwrapped(subject, &clock) : try compileAutograd(subject, &clock)
      if let compiled { return compiled }
    }
    return try compileInference(subject, &clock)
  }

  // MARK: With gradients

  /// nil where no gradient can flow.
  private func compileAutograd(_ subject: Subject, _ clock: inout PhaseClock) throws -> Compiled? {
    guard
      let compiled = try compileJoint(
        subject.functional, keeping: subject.capture.keptInputs, hooks: SavedTensorHooks.inUse,
        failures: subject.failure, &clock)
    else { return nil }
    let (partition, forward) = (compiled.partition, compiled.forward)
    let stack = wrappers(subject, partition.forward, autograd: compiled.autograd)
    var stages = stages(subject, stack, workspace: forward.workspaceByteCount)
    stages.joint = compiled.joint.module.graph
    stages.forward = partition.forward
    stages.backward = partition.backward
    stages.savedByteCount = partition.savedByteCount
    stages.partitionReport = partition.report
    stages.durations = clock.durations
    return Compiled(function: stack.wrap { try forward.run(tensors: $0) }, stages: stages)
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
  ///   - kept: Those of some inputs that autograd keeps a use of.
  ///   - hooks: What becomes of saved tensors.
  ///   - failures: Why eager autograd could not go back from a result.
  private func compileJoint(
    _ functional: FunctionalGraph, keeping kept: ([Int]) throws -> [Int] = { _ in [] },
    hooks: SavedTensorHooks?,
    failures: (ViewAndMutationMeta.Result) -> AutogradError?, _ clock: inout PhaseClock
  ) throws -> CompiledJoint? {
    guard functional.isDifferentiable else { return nil }
    var joint = try clock.measure(.differentiate) { try functional.differentiated() }
    if joint.differentiableOutputs.isEmpty { return nil }
    joint.module = try decomposed(joint.module)
    try verify(joint.module, as: .joint)
    var partition = try clock.measure(.partition) { try configuration.partitionerInUse.partition(joint) }
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
    let forward = try clock.measure(.compile) { try compiler(.forward).compile(forwardModule, role: .forward) }
    let autograd = try AutogradJoin(
      functional, joint, partition, keeping: kept, failures: failures,
      backward: LazyBackward(
        backwardModule, compiler: try compiler(.backward), donating: partition.donatedTensors),
      differentiableBackward: DifferentiableBackward { [self, joint] in
        try compileGradient(of: functional, joint)
      })
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
    var clock = PhaseClock()
    if let compiled = try compileJoint(gradient, hooks: nil, failures: { _ in nil }, &clock) {
      let forward = compiled.forward
      return compiled.autograd.wrap { try forward.run(tensors: $0) }
    }
    let graph = try compiler(.inference).compile(gradient.module, role: .inference)
    return { try graph.run(tensors: $0) }
  }

  // MARK: Without gradients

  /// - Throws: `AOTError` where an output of a function compiled without autograd would require a gradient all the same.
  private func refuseHistories(_ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta) throws {
    let graph = capture.module.graph
    for (position, (output, value)) in zip(meta.outputs, graph.result.elements ?? []).enumerated()
    where output.requiresGrad {
      let requiresWithBase =
        switch output.kind {
        case .nonAlias, .aliasOfIntermediate: false
        case .aliasOfInput(let input):
          capture.inputs[input].requiresGradAfter && !output.views.contains { $0.target === OperatorLibrary.detach }
        case .aliasOfOutput(let other): meta.outputs[other].requiresGrad
        case .constant, .isInput: true
        }
      guard requiresWithBase else {
        throw AOTError(
          .unsupported,
          "output \(position) requires a gradient though the function was called with gradients off or no argument that "
            + "requires one; leave enableGrad and setRequiresGrad to the caller",
          source: value.reference.flatMap { graph[metadata: $0].source })
      }
    }
    let aliases = AliasAnalysis(graph)
    let requiring = zip(graph.placeholders, capture.inputs).filter { $1.requiresGradAfter }
    let memory = Set(requiring.map { aliases.memory(of: $0.0) })
    // Only in a call with grad mode off does a node say that it was on.
    for id in graph.nodes where graph[id].metadata.gradMode == true && memory.contains(aliases.memory(of: id)) {
      throw AOTError(
        .unsupported,
        "the function is called with gradients off, turns them on, and then views or writes to something that requires a "
          + "gradient; leave enableGrad to the caller",
        source: graph[id].metadata.source)
    }
  }

  private func compileInference(_ subject: Subject, _ clock: inout PhaseClock) throws -> Compiled {
    let (capture, functional) = (subject.capture, subject.functional)
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
    let graph = try clock.measure(.compile) { try compiler(.inference).compile(module, role: .inference) }
    let autograd =
      capture.needsAutograd
      ? try AutogradJoin(functional, keeping: capture.keptInputs, failures: subject.failure) : nil
    let stack = wrappers(subject, module.graph, autograd: autograd, subclass: subclass)
    var stages = stages(subject, stack, workspace: graph.workspaceByteCount)
    stages.forward = module.graph
    stages.durations = clock.durations
    return Compiled(function: stack.wrap { try graph.run(tensors: $0) }, stages: stages)
  }

  // MARK: Parts

  /// - Parameter graph: The forward or inference graph.
  func wrappers(
    _ subject: Subject, _ graph: Graph, autograd: AutogradJoin?, subclass: SubclassWrapper? = nil
  ) -> WrapperStack {
    WrapperStack(
      subject.outer, subject.capture, subject.functional.meta,
      .init(
        syntheticBase: subject.syntheticBase, autograd: autograd, subclass: subclass,
        restridden: configuration.mayRestrideResults ? FakifiedOutput(graph) : nil,
        checksInvariants: configuration.debugAssertions))
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

  func stages(_ subject: Subject, _ stack: WrapperStack, workspace: Int?) -> AOTStages {
    let functional = subject.functional
    return AOTStages(
      captured: subject.outer.module.graph, functional: functional.module.graph, meta: functional.meta,
      forward: functional.module.graph, savedByteCount: 0, wrappers: stack.wrappers.map { type(of: $0).name },
      workspaceByteCount: workspace, captureDuration: .zero, compileDuration: .zero)
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
