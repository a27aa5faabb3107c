import AOTArtifacts
import GraphIR
import Partitioning

/// Something that happened while a function was compiled or called.
public struct AOTEvent: Sendable {
  /// Where the function was handed to `aotFunction`.
  public var function: SourceLocation
  public var payload: Payload

  public enum Payload: Sendable {
    /// A graph of a stage: `captured`, `functional`, `joint`, `forward`, `backward`.
    case graph(stage: Dialect, Graph)
    case metadata(ViewAndMutationMeta)
    case partition(PartitionReport)
    /// The layers between the caller and the compiled graph, outermost first.
    case wrappers([String])
    /// A call that fits none of the entries there are: why, entry by entry, latest first.
    case recompile([[GuardFailure]])
    /// A call found an entry.
    case cacheHit(entryCount: Int)
    /// A call found none; it is compiled anew.
    case cacheMiss(entryCount: Int)
    /// How long a part of the compilation took.
    case duration(CompilationPhase, Duration)
  }

  /// What events can be asked for: the names in the environment variable `AOT_LOGS`.
  public enum Artifact: String, CaseIterable, Hashable, Sendable {
    case graphs, metadata, partition, wrappers, recompiles, cache, timing
  }

  public var artifact: Artifact {
    switch payload {
    case .graph: .graphs
    case .metadata: .metadata
    case .partition: .partition
    case .wrappers: .wrappers
    case .recompile: .recompiles
    case .cacheHit, .cacheMiss: .cache
    case .duration: .timing
    }
  }
}

/// A part of a compilation.
public enum CompilationPhase: String, CaseIterable, Hashable, Sendable {
  case capture, functionalize, differentiate, partition, compile
}

extension AOTEvent: CustomStringConvertible {
  /// A block of text: a line that says what it is about, and what there is to say, indented.
  public var description: String {
    let head = "[\(artifact.rawValue)] function at \(function)"
    return ([head] + body.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" })
      .joined(separator: "\n")
  }

  private var body: String {
    switch payload {
    case .graph(let stage, let graph): "\(stage.rawValue) \(graph)"
    case .metadata(let meta): "\(meta)"
    case .partition(let report): "\(report)"
    case .wrappers(let names): names.isEmpty ? "none" : names.joined(separator: "\n")
    case .recompile(let entries):
      entries.enumerated().map { index, failures in
        "entry \(index): " + failures.map(\.description).joined(separator: "; ")
      }.joined(separator: "\n")
    case .cacheHit(let count): "hit, \(count) entries"
    case .cacheMiss(let count): "miss, \(count) entries"
    case .duration(let phase, let duration): "\(phase.rawValue): \(duration)"
    }
  }
}
