import AOTAutograd
import XCTest

/// The last backward pass through a compiled function computes in the memory of what was saved for it, and no other does.
final class DonatedBufferTests: XCTestCase {
  /// Notes what graphs may overwrite, and which results lie in memory that was passed.
  private final class Recorder: GraphCompiler, @unchecked Sendable {
    struct Failure: Error {}

    let name = "recording"
    private let state = Locked(State())

    struct State {
      var donations: [[Int]] = []
      /// One per run: the results that lie where an argument lay.
      var reuses: [Int] = []
      var failures = 0
    }

    var donations: [[Int]] { state.withLock(\.donations) }
    var reuses: [Int] { state.withLock(\.reuses) }
    func failOnce() { state.withLock { $0.failures = 1 } }

    func compile(_ module: GraphModule, role: GraphRole) throws -> any CompiledGraph {
      try compile(module, role: role, donating: [])
    }

    func compile(_ module: GraphModule, role: GraphRole, donating arguments: [Int]) throws -> any CompiledGraph {
      state.withLock { $0.donations.append(arguments) }
      return Graph(self, try LoopCompiler.cpu.compile(module, role: role, donating: arguments))
    }

    private final class Graph: CompiledGraph {
      let recorder: Recorder
      let inner: any CompiledGraph
      var workspaceByteCount: Int? { inner.workspaceByteCount }

      init(_ recorder: Recorder, _ inner: any CompiledGraph) {
        self.recorder = recorder
        self.inner = inner
      }

      func run(_ arguments: [Value]) throws -> [Value] {
        let places = Set(arguments.compactMap { $0.reference?.dataAddress })
        let results = try inner.run(arguments)
        try recorder.state.withLock { state in
          state.reuses.append(results.count { $0.reference?.dataAddress.map(places.contains) == true })
          if state.failures > 0 {
            state.failures -= 1
            throw Failure()
          }
        }
        return results
      }
    }
  }

  private let body: (Tensor, Tensor, Tensor) throws -> Tensor = { x, w, v in
    try x.matmul(w).sigmoid().matmul(v).tanh()
  }

  private func recording(
    _ body: @escaping (Tensor, Tensor, Tensor) throws -> Tensor
  ) -> (function: (Tensor, Tensor, Tensor) throws -> Tensor, recorder: Recorder) {
    let recorder = Recorder()
    let configuration = AOTConfiguration(
      compiler: .custom(forward: LoopCompiler.cpu, backward: recorder, inference: LoopCompiler.cpu),
      partitioner: .default)
    let function = aotFunction(configuration: configuration) { (x: Tensor, w: Tensor, v: Tensor) in try body(x, w, v) }
    return ({ try function($0, $1, $2) }, recorder)
  }

  private func leaves() throws -> [Tensor] {
    try [wave([4, 4], requiresGrad: true), wave([4, 4], from: 1, requiresGrad: true), wave([4, 4], from: 2)]
  }

  /// What the leaves have as gradients after some passes.
  private func gradients(
    _ function: (Tensor, Tensor, Tensor) throws -> Tensor, retaining: [Bool]
  ) throws -> [[Float]] {
    let leaves = try leaves()
    let result = try function(leaves[0], leaves[1], leaves[2])
    for retains in retaining {
      try backward([result], gradients: [wave([4, 4], from: 0.5)], retainGraph: retains)
    }
    return try leaves.dropLast().map { try XCTUnwrap($0.grad).elements(as: Float.self) }
  }

  func testTheLastPassComputesInWhatWasSaved() throws {
    let (function, recorder) = recording(body)
    let compiled = try gradients(function, retaining: [false])
    XCTAssertEqual(compiled, try gradients(body, retaining: [false]))
    XCTAssertEqual(recorder.donations.map(\.isEmpty), [false])
    XCTAssertGreaterThan(try XCTUnwrap(recorder.reuses.first), 0)
  }

  func testAPassThatRetainsTheGraphLeavesItAsItIs() throws {
    let (function, recorder) = recording(body)
    let passes = [true, true, false]
    XCTAssertEqual(try gradients(function, retaining: passes), try gradients(body, retaining: passes))
    // Compiled once for the passes that retain, and once for the last.
    XCTAssertEqual(recorder.donations.map(\.isEmpty), [true, false])
    XCTAssertEqual(recorder.reuses.prefix(2), [0, 0])
    XCTAssertGreaterThan(try XCTUnwrap(recorder.reuses.last), 0)
  }

  func testEveryConfigurationAgreesWithAndWithoutRetaining() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      for passes in [[false], [true, false], [false]] {
        let got = try gradients({ try function($0, $1, $2) }, retaining: passes).joined()
        for (a, b) in zip(got, try gradients(body, retaining: passes).joined()) {
          XCTAssertEqual(a, b, accuracy: 1e-5, name)
        }
      }
    }
  }

  func testNoPassComesAfterTheLast() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      let leaves = try leaves()
      let loss = try function(leaves[0], leaves[1], leaves[2]).sum()
      try loss.backward()
      XCTAssertThrowsError(try loss.backward(), name) {
        XCTAssertEqual(($0 as? AutogradError)?.code, .backwardTwice, name)
      }
    }
  }

  func testWhatTheCallerHoldsIsNeverOverwritten() throws {
    let bodies: [(Tensor, Tensor, Tensor) throws -> (Tensor, Tensor)] = [
      { x, w, v in
        let hidden = try x.matmul(w).sigmoid()
        return (hidden, try hidden.matmul(v).tanh())
      },
      { x, w, v in
        let hidden = try x.matmul(w).sigmoid()
        return (try hidden.reshape([16]), try hidden.matmul(v).tanh())
      },
      { x, w, v in
        let hidden = try x.matmul(w).sigmoid()
        return (try hidden.t()[1..<3].detach(), try hidden.matmul(v).exp())
      },
    ]
    for (index, body) in bodies.enumerated() {
      for (name, configuration) in comparedConfigurations {
        let function = aotFunction(configuration: configuration, body)
        let (mine, eager) = (try leaves(), try leaves())
        let (held, result) = try function(mine[0], mine[1], mine[2])
        let (expected, other) = try body(eager[0], eager[1], eager[2])
        let before = CallRecord.values(held)
        try result.sum().backward()
        try other.sum().backward()
        XCTAssertEqual(CallRecord.values(held), before, "\(name), \(index)")
        let pairs = zip(
          CallRecord.values(held) + mine.compactMap(\.grad).flatMap(CallRecord.values),
          CallRecord.values(expected) + eager.compactMap(\.grad).flatMap(CallRecord.values))
        for (a, b) in pairs { XCTAssertEqual(a, b, accuracy: 1e-5, "\(name), \(index)") }
      }
    }
  }

  func testGradientsAreNewTensors() throws {
    let (function, recorder) = recording(body)
    let leaves = try leaves()
    let result = try function(leaves[0], leaves[1], leaves[2])
    let serial = Storage.upcomingSerial
    let given = try grad(of: result.sum(), with: Array(leaves.prefix(2)))
    XCTAssertGreaterThan(try XCTUnwrap(recorder.reuses.first), 0)
    for gradient in given {
      XCTAssertGreaterThanOrEqual(gradient.storage.serial, serial)
      XCTAssertEqual(gradient.storage.version, 0)
      XCTAssertFalse(gradient.requiresGrad)
    }
  }

  func testAPassThatFailsHasUsedUpWhatWasSaved() throws {
    let (function, recorder) = recording(body)
    let leaves = try leaves()
    let loss = try function(leaves[0], leaves[1], leaves[2]).sum()
    recorder.failOnce()
    XCTAssertThrowsError(try loss.backward(retainGraph: true)) { XCTAssertTrue($0 is Recorder.Failure) }
    recorder.failOnce()
    XCTAssertThrowsError(try loss.backward()) { XCTAssertTrue($0 is Recorder.Failure) }
    XCTAssertThrowsError(try loss.backward()) { XCTAssertEqual(($0 as? AutogradError)?.code, .backwardTwice) }
  }

  func testAGradientOfAGradientNeedsWhatWasSaved() throws {
    for (name, configuration) in comparedConfigurations {
      func penalty(_ function: (Tensor, Tensor, Tensor) throws -> Tensor) throws -> [Double] {
        let leaves = try leaves()
        let loss = try function(leaves[0], leaves[1], leaves[2]).sum()
        let first = try grad(of: loss, with: [leaves[0]], createGraph: true)[0]
        try first.square().sum().backward()
        return try CallRecord.values(XCTUnwrap(leaves[1].grad))
      }
      let function = aotFunction(configuration: configuration, body)
      for (a, b) in zip(try penalty { try function($0, $1, $2) }, try penalty(body)) {
        XCTAssertEqual(a, b, accuracy: 1e-4, name)
      }
    }
  }

  func testTemporariesNeedLessOfTheArena() throws {
    let function = aotFunction(configuration: .init(partitioner: .default), body)
    let leaves = try leaves()
    let stages = try function.stages(leaves[0], leaves[1], leaves[2])
    let module = GraphModule(try XCTUnwrap(stages.backward))
    let saved = module.graph.placeholders.indices.filter { index in
      stages.forward.placeholders.allSatisfy {
        stages.forward[$0].name != module.graph[module.graph.placeholders[index]].name
      }
    }
    let plain = try LoopCompiler.cpu.compile(module, role: .backward)
    let donating = try LoopCompiler.cpu.compile(module, role: .backward, donating: saved.dropLast())
    XCTAssertLessThan(
      try XCTUnwrap(donating.workspaceByteCount), try XCTUnwrap(plain.workspaceByteCount), "\(module.graph)")
  }
}
