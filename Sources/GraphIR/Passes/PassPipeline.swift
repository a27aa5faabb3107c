/// Passes run in order, each timed, and checked after it ran.
public struct PassPipeline: Sendable {
  public var passes: [any GraphPass]
  /// Names of passes to leave out.
  public var disabled: Set<String> = []
  /// Whether to check the module after each pass; on in debug builds.
  public var verifies: Bool
  /// Whether checking also runs every shape rule.
  public var rerunsShapeRules = false
  /// Called after each pass with the module as it then is, to print it, say.
  public var afterPass: (@Sendable (Report, GraphModule) -> Void)?

  /// What one pass did.
  public struct Report: Sendable {
    public var pass: String
    public var changes: Int
    public var duration: Duration
  }

  public init(_ passes: [any GraphPass]) {
    self.passes = passes
    #if DEBUG
      verifies = true
    #else
      verifies = false
    #endif
  }

  /// Runs the passes that are not disabled.
  ///
  /// - Returns: One report per pass that ran.
  /// - Throws: `PassFailure` naming the pass, with the graph as it was before; the module is then as that pass got it. Before the
  ///   first pass the module is checked, too, so that no pass is blamed for what it was given.
  @discardableResult
  public func run(on module: inout GraphModule) throws(PassFailure) -> [Report] {
    if verifies { try verify(module, after: "input", graphBefore: module.graph) }
    var reports: [Report] = []
    let clock = ContinuousClock()
    for pass in passes where !disabled.contains(pass.name) {
      var edited = module
      let start = clock.now
      let changes: Int
      do {
        changes = try pass.run(on: &edited)
      } catch {
        throw PassFailure(pass: pass.name, underlying: error, graphBefore: module.graph)
      }
      let report = Report(pass: pass.name, changes: changes, duration: clock.now - start)
      if verifies { try verify(edited, after: pass.name, graphBefore: module.graph) }
      module = edited
      reports.append(report)
      afterPass?(report, module)
    }
    return reports
  }

  private func verify(_ module: GraphModule, after pass: String, graphBefore: Graph) throws(PassFailure) {
    do {
      try module.validate(rerunningShapeRules: rerunsShapeRules)
    } catch {
      throw PassFailure(pass: pass, underlying: error, graphBefore: graphBefore)
    }
  }
}

/// A pass that threw, or left a malformed graph behind.
public struct PassFailure: Error, CustomStringConvertible {
  /// The pass at fault; `input` where the graph was malformed before the first one.
  public var pass: String
  public var underlying: any Error
  /// The graph as the pass got it.
  public var graphBefore: Graph

  public var description: String { "pass '\(pass)': \(underlying)\nthe graph before it:\n\(graphBefore)" }
}
