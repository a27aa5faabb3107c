import XCTest

@testable import AOTAutograd

/// What compilation tells those who listen.
final class LogTests: XCTestCase {
  private func events(_ artifacts: Set<AOTEvent.Artifact>, _ body: () throws -> Void) rethrows -> [AOTEvent] {
    let events = Locked<[AOTEvent]>([])
    let subscription = AOTLog.addHandler(for: artifacts) { event in
      if event.function.file.contains("LogTests") { events.withLock { $0.append(event) } }
    }
    try body()
    subscription.cancel()
    return events.withLock { $0 }
  }

  func testTheEnvironmentsList() {
    XCTAssertEqual(LogSettings(parsing: "graphs, cache").artifacts, [.graphs, .cache])
    XCTAssertEqual(LogSettings(parsing: "all").artifacts, Set(AOTEvent.Artifact.allCases))
    XCTAssertNil(LogSettings(parsing: "timing").warning)
    XCTAssertEqual(
      LogSettings(parsing: "graph,wrappers").warning,
      "AOT_LOGS: unknown graph; known are graphs, metadata, partition, wrappers, recompiles, cache, timing, all")
  }

  func testACompilationFromCaptureToWrappers() throws {
    let function = aotFunction { (x: Tensor, w: Tensor) in try x.mul_(2).view([2, 1]) * w }
    let told = try events(Set(AOTEvent.Artifact.allCases)) {
      _ = try function(wave([2]), wave([2], requiresGrad: true))
    }
    var stages: [Dialect] = []
    var phases: Set<CompilationPhase> = []
    for event in told {
      switch event.payload {
      case .graph(let stage, _): stages.append(stage)
      case .metadata(let meta): XCTAssertEqual(meta, try function.stages(wave([2]), wave([2], requiresGrad: true)).meta)
      case .partition(let report): XCTAssertTrue("\(report)".contains("saved"))
      case .wrappers(let names): XCTAssertEqual(names, ["autograd"])
      case .duration(let phase, _): phases.insert(phase)
      case .cacheMiss(let count): XCTAssertEqual(count, 0)
      case .cacheHit, .recompile: XCTFail("\(event)")
      }
    }
    XCTAssertEqual(stages, [.captured, .functional, .joint, .forward, .backward])
    XCTAssertEqual(phases, Set(CompilationPhase.allCases))
  }

  func testNothingIsToldToNobody() throws {
    let subscription = AOTLog.addHandler(for: [.cache]) { _ in }
    XCTAssertTrue(AOTLog.isOn(.cache))
    subscription.cancel()
    let function = aotFunction { (x: Tensor) in try x + 1 }
    XCTAssertEqual(try events([.partition]) { _ = try function(wave([2])) }.count, 0)
  }

  func testTheReasonsForARecompilation() throws {
    struct Model: TensorTree {
      var layers: [String: Tensor]
      func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Model {
        try Model(layers: layers.mapTensors(transform))
      }
    }
    let function = aotFunction { (x: Tensor, model: Model) in try x + (model.layers["bias"] ?? x) }
    _ = try function(wave([2]), Model(layers: ["bias": wave([2])]))
    let told = try events([.recompiles, .cache]) {
      _ = try function(wave([2]), Model(layers: ["bias": wave([2])]))
      _ = try noGrad { try function(wave([2]), Model(layers: ["bias": wave([1], requiresGrad: true)])) }
    }
    XCTAssertEqual(
      told.map { $0.description.split(separator: "\n").dropFirst().joined(separator: "\n") },
      [
        "  hit, 1 entries", "  miss, 1 entries",
        "  entry 0: grad mode was on, is off; argument 1.layers[\"bias\"]: sizes was [2], is [1]; "
          + "argument 1.layers[\"bias\"]: requires grad was false, is true",
      ])
  }

  func testTheMetadataInWords() throws {
    let function = aotFunction { (x: Tensor, y: Tensor) in
      try x.mul_(2)
      _ = try noGrad { try y.t_() }
      return [try x.view([2, 2]).select(0, 1), y, try y + 1]
    }
    XCTAssertEqual(
      try function.stages(wave([4], requiresGrad: true) * 1, wave([2, 3])).meta.description,
      """
      input 0: requires grad; written after the graph
      input 1: layout changed to sizes [3, 2], strides [1, 3], offset 0 by t() without grad
      output 0: view of input 0 by view([2, 2]), select.int(0, 1); f32[2] strides [1]; requires grad
      output 1: input 1 itself; f32[3, 2] strides [1, 3]
      output 2: memory of its own; f32[3, 2] strides [1, 3]
      tangents: written input 0
      """)
  }

  func testTheMetadataOfWhatIsNoView() throws {
    let weight = try wave([4], requiresGrad: true)
    let function = aotFunction { (x: Tensor) in
      let sum = try x + weight
      return [sum, try OperatorLibrary.unsafeView(.reference(sum), .list([.int(2), .int(2)]))]
    }
    XCTAssertEqual(
      try function.stages(wave([4])).meta.description,
      """
      input 0: read only
      input 1: closed over; leaf that requires grad
      output 0: memory of its own; f32[4] strides [1]; requires grad
      output 1: view of output 0 by view([2, 2]), detach(); f32[2, 2] strides [2, 1]; requires grad; no view to autograd
      tangents: output 0, history of output 1
      """)
  }
}
