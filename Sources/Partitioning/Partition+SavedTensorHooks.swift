import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

extension Partition {
  /// The partition with saved tensors packed at the end of the forward graph and unpacked at the beginning of the backward
  /// graph.
  ///
  /// - Parameters:
  ///   - module: What holds the tensors that graphs read as attributes; tensors that hooks use are added.
  ///   - isPacked: Which saved tensors are packed.
  public func applying(
    _ hooks: SavedTensorHooks, to module: inout GraphModule, where isPacked: (SavedValue) -> Bool
  ) throws -> Partition {
    let constants = HookConstants(module)
    let forwardEnd = forward
    var results = forward.result.elements ?? []
    let saved = results[forwardOutputCount..<(forwardOutputCount + savedTensors.count)]
    let numbers = results[(forwardOutputCount + savedTensors.count)...]
    results.removeSubrange(forwardOutputCount...)

    var unfinished = forward
    if let output = forward.output { try unfinished.erase(output) }
    let packing = try GraphTracer(continuing: unfinished)
    packing.liftUnknown = { [unowned packing] in try constants.lift($0, in: packing) }
    var kept: [[Value]] = []
    try packing.recording {
      for (value, result) in zip(savedTensors, saved) {
        guard let node = result.reference, let tensor = packing.value(of: node)?.reference else {
          throw GraphError(.malformed, "a saved tensor is none", node: value.name)
        }
        kept.append(
          isPacked(value)
            ? try hooks.packed(tensor).map { .reference(try packing.lift($0)) } : [.reference(tensor)])
      }
    }
    let returned = results.map { $0.map { packing.value(of: $0) ?? .none } } + kept.flatMap { $0 }
    let rest = numbers.map { $0.map { packing.value(of: $0) ?? .none } }
    try packing.output(
      .tuple(returned + rest),
      descriptors: forwardEnd.outputDescriptors.isEmpty
        ? []
        : forwardEnd.outputDescriptors.prefix(forwardOutputCount)
          + (0..<(kept.joined().count + rest.count)).map(Descriptor.saved))

    var result = self
    result.forward = packing.graph
    result.backward = try unpacking(hooks, kept, constants, where: isPacked)
    result.packedByteCount = kept.joined().reduce(0) { $0 + ($1.reference.map { TensorMeta($0).byteCount } ?? 0) }
    module = constants.module
    return result
  }

  private func unpacking(
    _ hooks: SavedTensorHooks, _ kept: [[Value]], _ constants: HookConstants, where isPacked: (SavedValue) -> Bool
  ) throws -> Graph {
    let tracer = GraphTracer()
    tracer.liftUnknown = { [unowned tracer] in try constants.lift($0, in: tracer) }
    var arguments: [GraphArgument] = []
    var position = 0
    try tracer.recording {
      for (value, kept) in zip(savedTensors, kept) {
        let tensors = try kept.compactMap(\.reference).map { tensor in
          defer { position += 1 }
          return try tracer.placeholder(
            "\(value.name)_kept", TensorMeta(tensor), descriptor: .saved(position))
        }
        guard let meta = value.value.reference else { continue }
        let tensor = isPacked(value) ? try hooks.unpacked(tensors, as: meta) : tensors[0]
        arguments.append(try tracer.argument(.reference(tensor)))
      }
    }
    var graph = tracer.graph
    var last = graph.placeholders.last
    for id in backward.placeholders.dropFirst(savedTensors.count) {
      var metadata = backward[metadata: id]
      if case .saved = metadata.descriptor {
        metadata.descriptor = .saved(position)
        position += 1
      }
      let point: Graph.InsertionPoint = last.map { .after($0) } ?? graph.nodes.first.map { .before($0) } ?? .end
      let node = graph.inserting(point) { $0.placeholder(backward[id].name, metadata: metadata) }
      last = node
      arguments.append(.reference(node))
    }
    let result = try graph.inline(backward, arguments: arguments)
    graph.output(result, descriptors: backward.outputDescriptors)
    return graph
  }
}

/// Tensors from outside that hooks use: attributes of the module, the same at every call.
private final class HookConstants {
  private(set) var module: GraphModule
  private var paths: [ObjectIdentifier: String] = [:]
  /// Alive, so that their identities stay theirs.
  private var tensors: [Tensor] = []

  init(_ module: GraphModule) { self.module = module }

  func lift(_ tensor: Tensor, in tracer: GraphTracer) throws -> Tensor {
    guard !tensor.isFake else {
      throw AutogradError(.notCapturable, "a hook for saved tensors uses a tensor of another graph")
    }
    let path = paths[ObjectIdentifier(tensor)] ?? "hook_constant\(paths.count)"
    paths[ObjectIdentifier(tensor)] = path
    tensors.append(tensor)
    module.attributes[path] = tensor
    return try tracer.attribute(path, TensorMeta(tensor))
  }
}
