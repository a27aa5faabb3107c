import AOTAutograd
import Foundation

/// What a training run has to say at its end.
struct TrainingReport {
  /// The compiled functions of a step, by name; none where the run was eager.
  let functions: [(name: String, stages: AOTStages)]
  let times: StepTimes

  private var captureTime: Duration { functions.reduce(.zero) { $0 + $1.stages.captureDuration } }
  private var compileTime: Duration { functions.reduce(.zero) { $0 + $1.stages.compileDuration } }
  private var savedByteCount: Int { functions.reduce(0) { $0 + $1.stages.savedByteCount } }
  private var workspaceByteCount: Int { functions.map { $0.stages.workspaceByteCount ?? 0 }.max() ?? 0 }

  /// Nodes per stage of each function, then what a step cost.
  var text: String {
    var costs = Table()
    costs.add(["first step", Self.milliseconds(times.first)])
    costs.add(["steady step", Self.milliseconds(times.steady)])
    costs.add(["peak memory", Self.bytes(ProcessMemory.peakByteCount)])
    if functions.isEmpty { return costs.text }

    var nodes = Table(["nodes"] + functions.map(\.name))
    for stage in Stage.allCases {
      let counts = functions.map { stage.graph(of: $0.stages).map { "\($0.count)" } }
      if counts.contains(where: { $0 != nil }) { nodes.add([stage.rawValue] + counts.map { $0 ?? "–" }) }
    }
    costs.add(["saved for backward", Self.bytes(savedByteCount)])
    costs.add(["workspace", Self.bytes(workspaceByteCount)])
    costs.add(["capture", Self.milliseconds(captureTime)])
    costs.add(["compile", Self.milliseconds(compileTime)])
    return nodes.text + "\n\n" + costs.text
  }

  /// Adds the members that every training run's line of JSON has.
  func add(to line: inout JSONLine) {
    line.add("captureMs", captureTime.milliseconds)
    line.add("compileMs", compileTime.milliseconds)
    line.add("firstStepMs", times.first.milliseconds)
    line.add("steadyStepMs", times.steady.milliseconds)
    line.add("savedBytes", savedByteCount)
    line.add("workspaceBytes", workspaceByteCount)
    line.add("peakBytes", ProcessMemory.peakByteCount)
  }

  private static func milliseconds(_ duration: Duration) -> String {
    String(format: "%.3f ms", duration.milliseconds)
  }

  private static func bytes(_ count: Int) -> String {
    count < 10_000_000 ? String(format: "%.1f kB", Double(count) / 1e3) : String(format: "%.1f MB", Double(count) / 1e6)
  }
}
