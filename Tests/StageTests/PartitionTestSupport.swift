import AOTArtifacts
import GraphIR
import Partitioning
import TensorCore

/// An operator that partitioners can look at; it never runs.
final class PartitionTestOperator: Operator {
  let schema: OperatorSchema
  let traits: OperatorTraits

  init(
    _ name: String, _ traits: OperatorTraits = [], parameters: Int = 3, aliasOfFirst: AliasAnnotation? = nil,
    returnsAlias: Bool = true
  ) {
    schema = OperatorSchema(
      name: OperatorName("test", name),
      parameters: (0..<parameters).map {
        .init("x\($0)", .optional(.tensor), alias: $0 == 0 ? aliasOfFirst : nil, defaultValue: Argument.none)
      },
      returns: [.init(.tensor, alias: returnsAlias ? aliasOfFirst : nil)])
    self.traits = traits
  }

  func evaluate(_ arguments: [Value]) throws -> Value { .none }

  static let pointwise = PartitionTestOperator("pointwise", .pointwise)
  static let sum = PartitionTestOperator("sum", .reduction)
  static let matmul = PartitionTestOperator("matmul", .computeBound)
  static let sort = PartitionTestOperator("sort")
  static let view = PartitionTestOperator("view", aliasOfFirst: AliasAnnotation(["a"]))
  static let random = PartitionTestOperator("random", [.pointwise, .random])
  static let effect = PartitionTestOperator("effect", [.pointwise, .effectful])
  static let full = PartitionTestOperator("full", .factory)
  static let write = PartitionTestOperator("write_", aliasOfFirst: AliasAnnotation(["a"], isWrite: true))
}

/// Builds a joint graph line by line. Values are vectors of bytes unless said, so a size in bytes is a count of elements.
struct JointGraphBuilder {
  var graph = Graph()
  private var line = 0

  static func meta(_ bytes: Int) -> MetaValue { .reference(TensorMeta(dtype: .uint8, sizes: [SymInt(bytes)])) }

  private mutating func metadata(_ value: MetaValue?, tag: RecomputeTag? = nil, backward: Bool = false) -> NodeMetadata
  {
    line += 1
    return NodeMetadata(
      value: value, source: SourceLocation(file: "Model.swift", line: line), recompute: tag, isBackward: backward)
  }

  mutating func input(_ name: String, _ bytes: Int = 10) -> NodeID {
    var metadata = metadata(Self.meta(bytes))
    metadata.descriptor = .input(line - 1)
    return graph.placeholder(name, metadata: metadata)
  }

  mutating func parameter(_ name: String, _ bytes: Int = 10) -> NodeID {
    var metadata = metadata(Self.meta(bytes))
    metadata.descriptor = .closedOver(line - 1)
    return graph.placeholder(name, metadata: metadata)
  }

  mutating func tangent(_ name: String = "tangent", _ bytes: Int = 10) -> NodeID {
    var metadata = metadata(Self.meta(bytes), backward: true)
    metadata.descriptor = .tangent(of: .output(0))
    return graph.placeholder(name, metadata: metadata)
  }

  mutating func call(
    _ target: PartitionTestOperator, _ name: String, _ arguments: [NodeID], _ bytes: Int = 10, tag: RecomputeTag? = nil,
    backward: Bool = false
  ) -> NodeID {
    graph.call(
      target, arguments.map(GraphArgument.reference), name: name,
      metadata: metadata(Self.meta(bytes), tag: tag, backward: backward))
  }

  /// A call with another value than one tensor.
  mutating func call(_ target: PartitionTestOperator, _ name: String, _ arguments: [NodeID], value: MetaValue?)
    -> NodeID
  {
    graph.call(target, arguments.map(GraphArgument.reference), name: name, metadata: metadata(value))
  }

  mutating func output(_ forward: [NodeID?], gradients: [NodeID?]) {
    graph.output(
      .tuple((forward + gradients).map { $0.map(GraphArgument.reference) ?? .none }),
      descriptors: forward.indices.map(Descriptor.output) + gradients.indices.map { .gradient(of: .input($0)) })
  }
}

extension Partition {
  var savedNames: [String] { (savedTensors + savedNumbers).map(\.name) }
  var recomputedNames: [String] { recomputed.map(\.name) }
}

extension Graph {
  /// The names of the nodes in order, without the output.
  var nodeNames: [String] { nodes.filter { !self[$0].isOutput }.map { self[$0].name } }
  /// The names of what is returned; nil for constants.
  var resultNames: [String?] { (result.elements ?? []).map { $0.reference.map { self[$0].name } } }
}

extension RecomputePolicy {
  /// The bare cut: only what cannot be recomputed is not, and every byte counts.
  static let bare: RecomputePolicy = {
    var policy = RecomputePolicy.aggressive
    policy.savesComputeBound = false
    policy.closedOverIsFree = false
    policy.outputsAreFree = false
    return policy
  }()
}

/// A small generator with fixed sequences.
struct PartitionTestRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
