import AOTAutograd
import Foundation

/// What a training run has to say at its end.
struct TrainingReport {
  /// What compiling a step gave; nil where the run was eager.
  let stages: AOTStages?
  let times: StepTimes

  /// Nodes per stage, then what a step cost.
  var text: String {
    var costs = Table()
    costs.add(["first step", Self.milliseconds(times.first)])
    costs.add(["steady step", Self.milliseconds(times.steady)])
    costs.add(["peak memory", Self.bytes(ProcessMemory.peakByteCount)])
    guard let stages else { return costs.text }

    var nodes = Table(["nodes", "step"])
    for stage in Stage.allCases {
      if let graph = stage.graph(of: stages) { nodes.add([stage.rawValue, "\(graph.count)"]) }
    }
    costs.add(["workspace", Self.bytes(stages.workspaceByteCount ?? 0)])
    costs.add(["capture", Self.milliseconds(stages.captureDuration)])
    costs.add(["compile", Self.milliseconds(stages.compileDuration)])
    return nodes.text + "\n\n" + costs.text
  }

  /// Adds the members that every training run's line of JSON has.
  func add(to line: inout JSONLine) {
    line.add("captureMs", (stages?.captureDuration ?? .zero).milliseconds)
    line.add("compileMs", (stages?.compileDuration ?? .zero).milliseconds)
    line.add("firstStepMs", times.first.milliseconds)
    line.add("steadyStepMs", times.steady.milliseconds)
    line.add("savedBytes", stages?.savedByteCount ?? 0)
    line.add("workspaceBytes", stages?.workspaceByteCount ?? 0)
    line.add("peakBytes", ProcessMemory.peakByteCount)
  }

  private static func milliseconds(_ duration: Duration) -> String {
    String(format: "%.3f ms", duration.milliseconds)
  }

  private static func bytes(_ count: Int) -> String {
    count < 10_000_000 ? String(format: "%.1f kB", Double(count) / 1e3) : String(format: "%.1f MB", Double(count) / 1e6)
  }
}
