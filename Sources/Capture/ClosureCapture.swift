import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Runs a closure once on fake tensors and records what it does.
public struct ClosureCapture {
  /// Where the closure was handed over; the location of calls where the stack cannot tell more.
  public var source: SourceLocation

  public init(source: SourceLocation) { self.source = source }

  /// Captures a function of flat arguments.
  ///
  /// - Parameters:
  ///   - arguments: The arguments of the call that asks for the capture: tensors are stood in for, the rest is constant.
  ///   - signature: The signature of that call.
  ///   - function: The function, on flat arguments and results.
  /// - Throws: What the function throws, or `CaptureError`. No tensor has changed then.
  public func callAsFunction(
    _ arguments: [Value], signature: InputSignature, _ function: ([Value]) throws -> [Value]
  ) throws -> AOTGraphCapture {
    let session = CaptureSession(source: source)
    let fakeArguments = try session.placeholders(for: arguments)
    let context = DispatchContext.current
    let gradMode = context.isGradEnabled
    // Regions around the call are no part of the function.
    let regions = context.recomputeRegions
    context.recomputeRegions = RecomputeRegions()
    defer {
      context.isGradEnabled = gradMode
      context.recomputeRegions = regions
    }
    // Hooks are applied to what the compiled graphs save, not to what the tape saves meanwhile.
    let outputs: [Value]
    do {
      outputs = try SavedTensorHooks.with(nil) {
        try session.tracer.recording {
          try function(fakeArguments).map { try $0.map { .reference(try session.tracer.lift($0)) } }
        }
      }
    } catch {
      // What a stand-in at another offset throws, the tensor itself may not.
      try session.refuseAbsoluteOffsets()
      throw error
    }
    let gradModeAfter = context.isGradEnabled == gradMode ? nil : context.isGradEnabled
    return try session.finish(outputs, signature: signature, gradModeAfter: gradModeAfter)
  }
}

/// One capture while it runs.
private final class CaptureSession {
  let tracer = GraphTracer()
  private let source: SourceLocation
  private var fakes = InputFakes()
  private var twins: [ObjectIdentifier: Tensor] = [:]
  private var inputs: [(real: Tensor, twin: Tensor)] = []
  private var inputPositions: [Int] = []
  private var closedOver: [Tensor] = []
  private var attributes: [String: Tensor] = [:]
  /// Tensors made inside the closure; alive, so that their identities stay theirs.
  private var constants: [Tensor] = []
  /// Storages from here on were made inside the closure.
  private let firstSerial = Storage.upcomingSerial
  private let seedCount = Generator.inUse.seedCount

  init(source: SourceLocation) {
    self.source = source
    let startsWithGrad = DispatchContext.current.isGradEnabled
    let generator = Generator.inUse
    tracer.annotate = { [unowned tracer] call in
      if call.target.traits.contains(.random), Generator.inUse !== generator {
        tracer.refuse(
          CaptureError(
            .unsupported,
            "\(call.target.name) draws from a generator of its own, which a compiled function cannot yet; "
              + "call the function inside Generator.use",
            source: SourceLocator.current(fallback: source)))
      }
      let context = DispatchContext.current
      let region = context.recomputeRegions.current
      return NodeMetadata(
        source: SourceLocator.current(fallback: source),
        gradMode: context.isGradEnabled == startsWithGrad ? nil : context.isGradEnabled, recompute: region?.tag,
        recomputeRegion: region?.number)
    }
    tracer.liftUnknown = { [unowned self] in try lift($0) }
  }

  /// The arguments with a placeholder for each distinct tensor.
  func placeholders(for arguments: [Value]) throws -> [Value] {
    var storages: [ObjectIdentifier: Int] = [:]
    var seen: Set<ObjectIdentifier> = []
    for tensor in arguments.flatMap(\.references) where seen.insert(ObjectIdentifier(tensor)).inserted {
      storages[ObjectIdentifier(tensor.storage), default: 0] += 1
    }
    return try arguments.enumerated().map { position, argument in
      try argument.map { tensor in
        if let twin = twins[ObjectIdentifier(tensor)] { return .reference(twin) }
        let shares = storages[ObjectIdentifier(tensor.storage), default: 0] > 1
        inputPositions.append(position)
        return .reference(
          try addInput(tensor, "arg\(position)", .input(position), sharesStorage: shares))
      }
    }
  }

  private func addInput(
    _ tensor: Tensor, _ name: String, _ descriptor: Descriptor, sharesStorage: Bool
  ) throws -> Tensor {
    let twin = try DispatchContext.current.withMode(nil) { try fakes.twin(of: tensor, sharesStorage: sharesStorage) }
    twins[ObjectIdentifier(tensor)] = twin
    inputs.append((tensor, twin))
    tracer.addPlaceholder(name, for: twin, requiresGrad: tensor.requiresGrad, descriptor: descriptor)
    return twin
  }

  /// What stands for a tensor that the closure did not get as an argument.
  private func lift(_ tensor: Tensor) throws -> Tensor {
    if let twin = twins[ObjectIdentifier(tensor)] { return twin }
    guard !tensor.isFake else {
      throw CaptureError(
        .foreignTensor,
        "a tensor is used that is no value of this capture: one of another capture, or one inside or around a tensor of a "
          + "wrapper subclass; call operators on the outer tensor, and wrap tensors before the call",
        source: source)
    }
    if tensor.storage.serial >= firstSerial { return try addConstant(tensor) }
    let shares = inputs.contains { $0.real.storage === tensor.storage }
    // Offsets were not kept of those that seemed to be alone.
    guard !shares || inputs.allSatisfy({ $0.real.storage !== tensor.storage || $0.twin.layout == $0.real.layout })
    else {
      throw CaptureError(
        .unsupported,
        "a captured tensor lies in the storage of an argument that starts inside of it; pass it as an argument, too",
        source: source)
    }
    let twin = try addInput(
      tensor, "closed_over\(closedOver.count)", .closedOver(closedOver.count), sharesStorage: shares)
    closedOver.append(tensor)
    return twin
  }

  /// A tensor that the closure made from plain numbers: the same at every call.
  private func addConstant(_ tensor: Tensor) throws -> Tensor {
    guard tensor.leaves.allSatisfy({ $0.storage.serial >= firstSerial }) else {
      throw CaptureError(
        .unsupported, "tensors from outside are wrapped inside a captured function; wrap them before the call",
        source: source)
    }
    let path = "constant\(attributes.count)"
    let context = DispatchContext.current
    let value = try context.withMode(nil) { try context.withFakeTensors(false) { try noGrad { try tensor.clone() } } }
    attributes[path] = value
    let twin = try tracer.attribute(path, TensorMeta(value))
    twin.wrapperMeta = try fakes.wrapperMeta(of: value)
    twins[ObjectIdentifier(tensor)] = twin
    constants.append(tensor)
    return twin
  }

  func finish(_ outputs: [Value], signature: InputSignature, gradModeAfter: Bool?) throws -> AOTGraphCapture {
    if let refusal = tracer.refusal { throw refusal }
    try refuseLostEffects()
    try refuseAbsoluteOffsets()
    try tracer.output(.tuple(outputs), descriptors: outputs.indices.map { .output($0) })
    let module = GraphModule(tracer.graph, attributes: attributes)
    return AOTGraphCapture(
      module: module, inputPositions: inputPositions, closedOver: closedOver, guardedReads: tracer.guardedReads,
      signature: signature, inputs: try inputs.map(facts), outputs: try outputs.map(facts),
      gradModeAfter: gradModeAfter)
  }

  private func facts(_ input: (real: Tensor, twin: Tensor)) throws -> AOTGraphCapture.InputFacts {
    let sharesStorage = inputs.count { $0.real.storage === input.real.storage } > 1
    return .init(
      requiresGrad: input.real.requiresGrad, isLeaf: input.real.isLeaf,
      viewGradient: input.real.viewGradient, requiresGradAfter: input.twin.requiresGrad,
      failureAfter: try input.twin.backwardFailure(),
      base: sharesStorage ? try fakes.baseFacts(of: input.real, numberedAmong: inputs.map(\.real)) : nil,
      subclass: SubclassMeta(input.real),
      sharesInnerMemory: inputs.contains { $0.real.sharesInnerMemory(with: input.real) })
  }

  private func facts(_ output: Value) throws -> AOTGraphCapture.OutputFacts {
    guard let tensor = output.reference else { return .init(requiresGrad: false) }
    return .init(
      requiresGrad: tensor.requiresGrad,
      isRequiringLeaf: tensor.isRequiringLeaf && !inputs.contains { $0.twin === tensor },
      failure: try tensor.backwardFailure())
  }

  /// What the closure did besides calling operators would happen now and never again.
  private func refuseLostEffects() throws {
    guard Generator.inUse.seedCount == seedCount else {
      throw CaptureError(
        .unsupported, "a captured function cannot seed a random generator; seed it before the call", source: source)
    }
    guard inputs.allSatisfy({ !$0.twin.isLeaf || $0.twin.requiresGrad == $0.real.requiresGrad }) else {
      throw CaptureError(
        .unsupported,
        "a captured function cannot switch gradients of its inputs on or off; do so before the call, or detach() inside",
        source: source)
    }
  }

  /// Calls may differ in where inputs begin in their storage, which only an absolute offset can tell.
  func refuseAbsoluteOffsets() throws {
    let inside = inputs.filter { $0.real.startsInside }
    if inside.isEmpty { return }
    let storages = Set(
      inside.compactMap { tracer.node(of: $0.twin).flatMap { tracer.graph[metadata: $0].tensor?.storageID } })
    for id in tracer.graph.nodes {
      let node = tracer.graph[id]
      // Larger elements begin at multiples of their size.
      if let target = node.target as? OperatorDefinition, target.viewDType != nil, let result = node.metadata.tensor,
        let source = node.arguments.first?.reference.flatMap({ tracer.graph[metadata: $0].tensor }),
        result.dtype.byteCount > source.dtype.byteCount, source.storageID.map(storages.contains) == true
      {
        throw CaptureError(
          .unsupported,
          "\(target.name) gives an input that starts inside its storage larger elements; clone it first",
          source: node.metadata.source)
      }
      if let target = node.target, let position = target.schema.index(of: "storage_offset"),
        try !node.boundArguments()[position].isNone
      {
        throw CaptureError(
          .unsupported,
          "\(target.name) with a storage offset is used while an input starts inside its storage; leave the offset out",
          source: node.metadata.source)
      }
    }
  }
}
