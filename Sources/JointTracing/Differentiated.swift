import AOTArtifacts
import GraphIR
import Operators
import TensorCore

extension FunctionalGraph {
  /// Forward and backward in one graph: this graph, then the gradient of each input that wants one.
  ///
  /// The forward part stays as it is, but for inputs, which are renamed `primals_1`, `primals_2`, …. A tangent comes in for each
  /// output through which a gradient can reach an input. Nodes of the backward part say so, name the forward node that
  /// they belong to, and have its source location.
  ///
  /// Where a gradient would have to flow through a call that has no derivative, none does, and `failures` names the operator
  /// and the user's source location: only a backward pass from such an output is to fail.
  public func differentiated() throws -> JointGraph {
    var forward = module.graph
    let outputs = forward.result.elements ?? []
    let descriptors = outputs.indices.map { index in
      forward.outputDescriptors.indices.contains(index) ? forward.outputDescriptors[index] : .output(index)
    }
    if let output = forward.output { try forward.erase(output) }
    let primals = forward.placeholders
    for (index, primal) in primals.enumerated() { forward.rename(primal, to: "primals_\(index + 1)") }

    let tracer = try GraphTracer(continuing: forward)
    let forwardNodes = tracer.graph.nodes
    let flow = GradientFlow(tracer.graph, placeholders: meta.inputs.map(\.requiresGrad))
    var sweep = ReverseSweep(tracer, flow: flow)
    var differentiableOutputs: [Int] = []
    for (index, output) in outputs.enumerated() {
      guard let node = differentiableNode(output, descriptors[index], flow),
        let value = tracer.graph[metadata: node].tensor
      else { continue }
      differentiableOutputs.append(index)
      let descriptor = Descriptor.tangent(of: descriptors[index])
      let tangent = try tracer.placeholder(
        "tangents_\(differentiableOutputs.count)", value.tangent, descriptor: descriptor)
      sweep.seed(node, with: tangent)
    }
    let gradients = try tracer.recordingBackward {
      let recorder = BackwardRecorder(tracer)
      let gradients = try DispatchContext.current.withMode(recorder) {
        try sweep.run(forwardNodes)
        return try primals.map { try sweep.gradient(at: $0) }
      }
      try sweep.copyIntoPrimals(recorder.written, primals)
      return gradients
    }
    try tracer.output(
      .tuple(
        outputs.map { $0.map { tracer.value(of: $0) ?? .none } } + gradients.map { $0.map { .reference($0) } ?? .none }),
      descriptors: descriptors
        + primals.indices.map { .gradient(of: tracer.graph[metadata: primals[$0]].descriptor ?? .input($0)) })

    let failures = sweep.failuresBehind(forwardNodes)
    var joint = JointGraph(
      module: module, primalCount: primals.count, forwardOutputCount: outputs.count,
      differentiableOutputs: differentiableOutputs,
      failures: Dictionary(
        uniqueKeysWithValues: differentiableOutputs.compactMap { index in
          outputs[index].reference.flatMap { failures[$0] }.map { (index, $0) }
        }))
    joint.module.graph = tracer.graph
    // A change of layout advances the version of the memory, too: what is saved of it would seem overwritten.
    let overwritten = zip(primals, meta.inputs).filter { $1.mutatesData || $1.mutatesMetadata }
    joint.module.graph.keepOverwrittenPrimals(overwritten.map(\.0))
    try JointPasses.pipeline.run(on: &joint.module)
    return joint
  }

  /// Whether a gradient can flow from an output to an input: where none can, the joint graph would be the forward one.
  public var isDifferentiable: Bool {
    let graph = module.graph
    let flow = GradientFlow(graph, placeholders: meta.inputs.map(\.requiresGrad))
    return (graph.result.elements ?? []).enumerated().contains { index, output in
      let isDescribed = graph.outputDescriptors.indices.contains(index)
      return differentiableNode(output, isDescribed ? graph.outputDescriptors[index] : .output(index), flow) != nil
    }
  }

  /// The node of an output through which a gradient can reach an input; nil of any other.
  private func differentiableNode(
    _ output: GraphArgument, _ descriptor: Descriptor, _ flow: GradientFlow
  ) -> NodeID? {
    guard let node = output.reference, flow.requiresGrad(node), isDifferentiable(descriptor) else { return nil }
    return node
  }

  /// Whether eager autograd would give an output a history. The metadata does not say for inputs.
  private func isDifferentiable(_ descriptor: Descriptor) -> Bool {
    switch descriptor {
    case .output(let index) where meta.outputs.indices.contains(index): return meta.outputs[index].requiresGrad
    case .intermediateBase(let number):
      return meta.outputs.isEmpty || meta.followers(ofBase: number).contains { meta.outputs[$0].requiresGrad }
    default: return true
    }
  }
}

extension TensorMeta {
  /// The metadata of a gradient for this value: dense, in the value's order of dimensions where that is dense too.
  fileprivate var tangent: TensorMeta {
    let layout =
      layout.isNonOverlappingAndDense ? Layout(sizes: sizes, strides: layout.strides) : Layout(contiguous: sizes)
    return TensorMeta(dtype: dtype, layout: layout, device: device)
  }
}

extension GraphTracer {
  /// Runs `body` with its operator calls recorded and grad mode off.
  fileprivate func recordingBackward<Result>(_ body: () throws -> Result) rethrows -> Result {
    let context = DispatchContext.current
    let isGradEnabled = context.isGradEnabled
    context.isGradEnabled = false
    defer { context.isGradEnabled = isGradEnabled }
    return try recording(body)
  }
}
