import Foundation
import Partitioning
import XCTest

final class MaxFlowTests: XCTestCase {
  private func network(_ vertexCount: Int, _ edges: [(Int, Int, Int64)]) -> FlowNetwork {
    var network = FlowNetwork(vertexCount: vertexCount)
    for (from, to, capacity) in edges { network.addEdge(from: from, to: to, capacity: capacity) }
    return network
  }

  private let infinity = FlowNetwork.infinity

  func testTextbookNetwork() throws {
    // Cormen, Leiserson, Rivest and Stein, "Introduction to Algorithms", the Lucky Puck example: 23.
    let network = network(
      6,
      [
        (0, 1, 16), (0, 2, 13), (2, 1, 4), (1, 3, 12), (3, 2, 9), (2, 4, 14), (4, 3, 7), (3, 5, 20), (4, 5, 4),
      ])
    let cut = try network.minimumCut(from: 0, to: 5)
    XCTAssertEqual(cut.cutValue, 23)
    XCTAssertEqual(cut.flowValue, 23)
    XCTAssertEqual(cut.cutEdges, [3, 6, 8])
    try cut.verify(in: network, from: 0, to: 5)
  }

  func testNoPathCostsNothing() throws {
    let network = network(4, [(0, 1, 5), (2, 3, 5), (3, 1, infinity), (1, 0, 7)])
    let cut = try network.minimumCut(from: 0, to: 3)
    XCTAssertEqual(cut.cutValue, 0)
    XCTAssertEqual(cut.cutEdges, [])
    try cut.verify(in: network, from: 0, to: 3)
    XCTAssertEqual(try FlowNetwork(vertexCount: 2).minimumCut(from: 0, to: 1).cutValue, 0)
  }

  func testUncuttablePathIsNamed() {
    let network = network(5, [(0, 1, 3), (0, 2, infinity), (2, 3, infinity), (2, 1, infinity), (3, 4, infinity)])
    XCTAssertThrowsError(try network.minimumCut(from: 0, to: 4)) {
      XCTAssertEqual($0 as? FlowError, .uncuttablePath(edges: [1, 2, 4]))
    }
  }

  func testBadTerminalsAndCapacities() {
    let network = network(2, [(0, 1, 1 << 61), (0, 1, 1 << 61)])
    XCTAssertThrowsError(try network.minimumCut(from: 0, to: 1)) { XCTAssertEqual($0 as? FlowError, .capacityOverflow) }
    for (source, sink) in [(0, 0), (0, 2), (-1, 1)] {
      XCTAssertThrowsError(try network.minimumCut(from: source, to: sink)) {
        XCTAssertEqual($0 as? FlowError, .invalidTerminals(source: source, sink: sink))
      }
    }
  }

  func testTieGoesToThePreferredSide() throws {
    let network = network(4, [(0, 1, 5), (1, 2, 5), (2, 3, 5)])
    XCTAssertEqual(try network.minimumCut(from: 0, to: 3, preferring: .nearestSink).cutEdges, [2])
    XCTAssertEqual(try network.minimumCut(from: 0, to: 3, preferring: .nearestSource).cutEdges, [0])
  }

  func testZeroCapacitiesParallelEdgesAndLoops() throws {
    let network = network(
      3, [(0, 1, 2), (0, 1, 3), (1, 1, 9), (1, 2, 4), (1, 2, 0), (0, 0, infinity), (2, 0, infinity)])
    let cut = try network.minimumCut(from: 0, to: 2)
    XCTAssertEqual(cut.cutValue, 4)
    XCTAssertEqual(cut.cutEdges, [3, 4])
    try cut.verify(in: network, from: 0, to: 2)
  }

  func testForgedCertificatesAreRefused() throws {
    let honest = network(3, [(0, 1, 2), (1, 2, 3)])
    let cut = try honest.minimumCut(from: 0, to: 2)
    for forged in [network(3, [(0, 1, 1), (1, 2, 3)]), network(3, [(0, 1, 2), (1, 2, 1)]), network(3, [(0, 1, 2)])] {
      XCTAssertThrowsError(try cut.verify(in: forged, from: 0, to: 2))
    }
    let wider = network(3, [(0, 1, 4), (1, 2, 3)])
    XCTAssertThrowsError(try cut.verify(in: wider, from: 0, to: 2))
  }

  /// Every cut of small random networks, infinite edges among theirs, against the solver.
  func testRandomNetworksAgainstAllCuts() throws {
    var random = PartitionTestRandom(seed: 1)
    for round in 0..<3000 {
      let vertexCount = Int.random(in: 2...8, using: &random)
      let infinite = Double.random(in: 0...0.4, using: &random)
      var edges: [(Int, Int, Int64)] = []
      for _ in 0..<Int.random(in: 0...20, using: &random) {
        let isInfinite = Double.random(in: 0...1, using: &random) < infinite
        edges.append(
          (
            Int.random(in: 0..<vertexCount, using: &random), Int.random(in: 0..<vertexCount, using: &random),
            isInfinite ? infinity : Int64.random(in: 0...6, using: &random)
          ))
      }
      let network = network(vertexCount, edges)
      let (source, sink) = (0, vertexCount - 1)
      var best: (cost: Int64, smallest: Int, largest: Int)?
      for side in 0..<(1 << vertexCount) where side & 1 == 1 && side >> sink & 1 == 0 {
        let crossing = edges.filter { side >> $0.0 & 1 == 1 && side >> $0.1 & 1 == 0 }
        if crossing.contains(where: { $0.2 == infinity }) { continue }
        let cost = crossing.reduce(0) { $0 + $1.2 }
        let size = side.nonzeroBitCount
        if let known = best, known.cost < cost { continue }
        if let known = best, known.cost == cost {
          best = (cost, min(known.smallest, size), max(known.largest, size))
        } else {
          best = (cost, size, size)
        }
      }
      for preference in [MinimumCut.Preference.nearestSource, .nearestSink] {
        guard let best else {
          XCTAssertThrowsError(try network.minimumCut(from: source, to: sink, preferring: preference)) {
            guard case .uncuttablePath(let path)? = $0 as? FlowError else { return XCTFail("\($0)") }
            XCTAssertEqual(path.first.map { edges[$0].0 }, source)
            XCTAssertEqual(path.last.map { edges[$0].1 }, sink)
            XCTAssertTrue(path.allSatisfy { edges[$0].2 == infinity })
          }
          continue
        }
        let cut = try network.minimumCut(from: source, to: sink, preferring: preference)
        XCTAssertEqual(cut.cutValue, best.cost, "round \(round)")
        XCTAssertEqual(
          cut.isOnSourceSide.count { $0 }, preference == .nearestSource ? best.smallest : best.largest, "round \(round)"
        )
        try cut.verify(in: network, from: source, to: sink)
      }
    }
  }

  func testLongChainsNeedNoStack() throws {
    let length = 200_000
    var chain = FlowNetwork(vertexCount: length + 1)
    for vertex in 0..<length { chain.addEdge(from: vertex, to: vertex + 1, capacity: Int64(length - vertex)) }
    let cut = try chain.minimumCut(from: 0, to: length)
    XCTAssertEqual(cut.cutEdges, [length - 1])
    try cut.verify(in: chain, from: 0, to: length)
  }

  func testPartitioningProblemsOfModels() throws {
    for (name, text) in MaxFlowSamples.all {
      let sample = try MaxFlowSample(text)
      let cut = try sample.network.minimumCut(from: sample.source, to: sample.sink)
      XCTAssertEqual(cut.cutValue, sample.optimum, name)
      try cut.verify(in: sample.network, from: sample.source, to: sample.sink)
    }
  }

  /// Larger problems of the same kind: set `MINCUT_GRAPHS` to a directory of files in the format of `MaxFlowSample`.
  func testPartitioningProblemsFromADirectory() throws {
    guard let path = ProcessInfo.processInfo.environment["MINCUT_GRAPHS"] else { throw XCTSkip("no MINCUT_GRAPHS") }
    let directory = URL(fileURLWithPath: path)
    for name in try FileManager.default.contentsOfDirectory(atPath: path).sorted() where name.hasSuffix(".txt") {
      let sample = try MaxFlowSample(String(contentsOf: directory.appendingPathComponent(name), encoding: .utf8))
      let start = ContinuousClock.now
      let cut = try sample.network.minimumCut(from: sample.source, to: sample.sink)
      print("\(name): \(sample.network.vertexCount) vertices, cut \(cut.cutValue) in \(ContinuousClock.now - start)")
      XCTAssertEqual(cut.cutValue, sample.optimum, name)
      try cut.verify(in: sample.network, from: sample.source, to: sample.sink)
    }
  }
}
