import AOTArtifacts
import GraphIR
import Partitioning

/// What became of a function for one signature, stage by stage. Every graph can be printed, parsed back and run.
public struct AOTStages: Sendable {
  /// The operator calls that the closure made, views and writes included.
  public var captured: Graph
  /// Without views and writes.
  public var functional: Graph
  public var meta: ViewAndMutationMeta
  /// Forward and backward in one; nil where no gradient is wanted.
  public var joint: Graph?
  /// What runs at each call: the forward half, or the whole function where no gradient is wanted.
  public var forward: Graph
  /// nil where no gradient is wanted.
  public var backward: Graph?
  /// Bytes that live from the forward to the backward pass, inputs left out.
  public var savedByteCount: Int
  /// Why each value is saved or recomputed; nil where no gradient is wanted.
  public var partitionReport: PartitionReport?
  /// The layers between the caller and the compiled graph, outermost first.
  public var wrappers: [String]
  /// Bytes of workspace of the forward or inference graph; nil where the compiler does not know ahead of time.
  public var workspaceByteCount: Int?
  public var captureDuration: Duration
  /// From the captured graph to something that runs, the backward graph's compilation left out: that happens when first
  /// needed.
  public var compileDuration: Duration
  /// How long each part of the way took, of those that this function went.
  public var durations: [CompilationPhase: Duration] = [:]
}
