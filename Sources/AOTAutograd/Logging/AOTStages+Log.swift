import AOTArtifacts
import GraphIR

extension AOTStages {
  /// Tells those who listen what has become of a function.
  func log(from function: SourceLocation) {
    for (stage, graph) in graphs { AOTLog.send(.graphs, from: function, .graph(stage: stage, graph)) }
    AOTLog.send(.metadata, from: function, .metadata(meta))
    if let report = partitionReport { AOTLog.send(.partition, from: function, .partition(report)) }
    AOTLog.send(.wrappers, from: function, .wrappers(wrappers))
    for phase in CompilationPhase.allCases {
      if let duration = durations[phase] { AOTLog.send(.timing, from: function, .duration(phase, duration)) }
    }
  }

  private var graphs: [(Dialect, Graph)] {
    let known: [(Dialect, Graph?)] = [
      (.captured, captured), (.functional, functional), (.joint, joint), (.forward, joint == nil ? nil : forward),
      (.backward, backward),
    ]
    return known.compactMap { stage, graph in graph.map { (stage, $0) } }
  }
}
