/// What a user or policy asked the partitioner to do with a value.
public enum RecomputeTag: String, CaseIterable, Hashable, Sendable {
  case mustSave = "must_save"
  case preferSave = "prefer_save"
  case preferRecompute = "prefer_recompute"
  case mustRecompute = "must_recompute"
}

/// Typed facts about a node. `annotations` is open to users of the library; no pass of ours depends on it.
public struct NodeMetadata: Hashable, Sendable {
  /// What the node gives, as metadata; nil until propagated.
  public var value: MetaValue?
  public var source: SourceLocation?
  /// What a graph input is; for the parts of an output see `Graph.outputDescriptors`.
  public var descriptor: Descriptor?
  /// Whether gradients were recorded where the user wrote this; nil where it does not matter.
  public var gradMode: Bool?
  public var recompute: RecomputeTag?
  /// The region that the tag was given to: where values go from one region to another, they are saved. Nil for a tag without one.
  public var recomputeRegion: Int?
  /// For a node of the backward pass, the forward node whose derivative it belongs to.
  public var forwardNode: String?
  /// Whether the node belongs to the backward pass of a joint graph.
  public var isBackward: Bool
  public var annotations: [String: String]

  public init(
    value: MetaValue? = nil, source: SourceLocation? = nil, descriptor: Descriptor? = nil, gradMode: Bool? = nil,
    recompute: RecomputeTag? = nil, recomputeRegion: Int? = nil, forwardNode: String? = nil, isBackward: Bool = false,
    annotations: [String: String] = [:]
  ) {
    self.value = value
    self.source = source
    self.descriptor = descriptor
    self.gradMode = gradMode
    self.recompute = recompute
    self.recomputeRegion = recomputeRegion
    self.forwardNode = forwardNode
    self.isBackward = isBackward
    self.annotations = annotations
  }

  /// The metadata of the tensor that the node gives, if it gives one.
  public var tensor: TensorMeta? { value?.reference }
}
