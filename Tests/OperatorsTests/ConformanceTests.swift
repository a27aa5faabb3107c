import Foundation
import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Replays calls recorded from PyTorch for every operator that exists here.
final class ConformanceTests: XCTestCase {
  func testRecordedCallsReplay() throws {
    guard let folder = ConformanceData.beside() else {
      throw XCTSkip("there is no recorded data beside this checkout")
    }
    let replay = ConformanceReplay(data: try ConformanceData(folder: folder), table: OperatorLibrary.table)
    let only = ProcessInfo.processInfo.environment["OPERATOR"]
    var counts: [String: (passed: Int, failed: Int)] = [:]
    var failures: [String] = []
    for item in replay.data.cases {
      let name = item["op"]?.string ?? "?"
      if let only, !name.hasPrefix(only) { continue }
      switch replay.replay(item) {
      case .skipped: continue
      case .passed: counts[name, default: (0, 0)].passed += 1
      case .failed(let reason):
        counts[name, default: (0, 0)].failed += 1
        failures.append("\(item["id"]?.string ?? "?"): \(reason)")
      }
    }
    let passed = counts.values.reduce(0) { $0 + $1.passed }
    print("conformance: \(passed) cases of \(counts.count) operators passed, \(failures.count) failed")
    for failure in failures { print("  \(failure)") }
    XCTAssert(failures.isEmpty, "\(failures.count) recorded cases did not replay; the first: \(failures.first ?? "")")
    XCTAssert(only != nil || passed > 0)
  }

  func testSchemasAreThoseRecorded() throws {
    guard let folder = ConformanceData.beside() else {
      throw XCTSkip("there is no recorded data beside this checkout")
    }
    let recorded = try JSONReader.read(Data(contentsOf: folder.appendingPathComponent("schemas.json")))
    for definition in OperatorLibrary.all {
      let name = "\(definition.name.base).\(definition.name.overload)"
      guard let text = recorded[name]?["schema"]?.string else { continue }
      XCTAssertEqual(definition.schema, try OperatorSchema(parsing: text), name)
    }
  }
}
