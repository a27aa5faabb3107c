import AOTAutograd
import Foundation
import XCTest

@testable import aot

final class OpsTests: XCTestCase {
  private func described(_ options: String) throws -> [[String: Any]] {
    let result = RecordingConsole.run("ops --json \(options)")
    XCTAssertEqual(result.code, 0, result.error)
    return try result.output.split(separator: "\n").map { line in
      try XCTUnwrap(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }

  func testEveryOperatorIsALineOfJSON() throws {
    XCTAssertEqual(
      try described("").compactMap { $0["name"] as? String }, OperatorLibrary.all.map(\.name.description).sorted())
  }

  func testFactsOfAnOperator() throws {
    let gelu = try XCTUnwrap(described("--filter aten.gelu.").first)
    XCTAssertEqual(gelu["derivative"] as? String, "yes")
    XCTAssertEqual(gelu["decomposition"] as? String, "primitive")
    XCTAssertEqual(gelu["lowering"] as? String, "loops")
    XCTAssertEqual(gelu["traits"] as? [String], ["core", "pointwise"])
    let inPlace = try XCTUnwrap(described("--filter aten.gelu_.").first)
    XCTAssertEqual(inPlace["lowering"] as? String, "in place of aten.gelu.default")
    XCTAssertEqual(inPlace["traits"] as? [String], ["pointwise", "in-place"])
  }

  func testTableIsFiltered() {
    let lines = RecordingConsole.run("ops --filter silu").output.split(separator: "\n")
    XCTAssertTrue(lines[0].hasPrefix("operator "))
    XCTAssertTrue(lines.dropFirst().allSatisfy { $0.contains("silu") })
    XCTAssertGreaterThan(lines.count, 2)
  }

  func testMissingDerivativesAreThoseUndeclared() throws {
    let missing = try described("--missing-derivative").compactMap { $0["name"] as? String }
    XCTAssertTrue(missing.allSatisfy { OperatorName($0).flatMap(OperatorLibrary.table.lookup) != nil })
    XCTAssertFalse(missing.contains("aten.add.Tensor"))
  }

  func testShowDecomposesEveryStage() throws {
    for stage in Stage.allCases {
      let text = RecordingConsole.run("show digits --stage \(stage.rawValue) --decompose core").output
      XCTAssertFalse(text.isEmpty, stage.rawValue)
      XCTAssertFalse(text.contains("aten.t.default"), stage.rawValue)
      XCTAssertFalse(text.contains("aten.threshold_backward"), stage.rawValue)
    }
  }
}
