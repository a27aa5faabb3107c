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
    var families: [String: (passed: Int, refused: Int, failed: Int)] = [:]
    var failures: [String] = []
    for item in replay.data.cases {
      let name = item["op"]?.string ?? "?"
      if let only, !name.hasPrefix(only) { continue }
      let family = Self.family(of: name)
      switch replay.replay(item) {
      case .skipped: continue
      case .passed: families[family, default: (0, 0, 0)].passed += 1
      case .refused: families[family, default: (0, 0, 0)].refused += 1
      case .failed(let reason):
        families[family, default: (0, 0, 0)].failed += 1
        failures.append("\(item["id"]?.string ?? "?"): \(reason)")
      }
    }
    for (family, count) in families.sorted(by: { $0.key < $1.key }) {
      print("conformance: \(family): \(count.passed) passed, \(count.refused) refused, \(count.failed) failed")
    }
    for failure in failures { print("conformance: \(failure)") }
    XCTAssert(failures.isEmpty, "\(failures.count) recorded cases did not replay; the first: \(failures.first ?? "")")
    XCTAssert(only != nil || families.values.contains { $0.passed > 0 })
  }

  private static func family(of name: String) -> String {
    let families: [(String, [OperatorDefinition])] = [
      ("activations", OperatorLibrary.activations + OperatorLibrary.piecewiseActivations + OperatorLibrary.logSigmoids),
      ("comparison and logic", OperatorLibrary.comparison + OperatorLibrary.logic),
      (
        "creation", OperatorLibrary.creation + OperatorLibrary.ranges + OperatorLibrary.fills + OperatorLibrary.dropouts
      ),
      ("losses", OperatorLibrary.classLosses + OperatorLibrary.crossEntropies + OperatorLibrary.losses),
      ("normalization", OperatorLibrary.layerNorms + OperatorLibrary.batchNorms + OperatorLibrary.groupNorms),
      (
        "reductions",
        OperatorLibrary.reductions + OperatorLibrary.extremumReductions + OperatorLibrary.products
          + OperatorLibrary.variances + OperatorLibrary.scans + OperatorLibrary.norms
      ),
      ("softmax", OperatorLibrary.softmaxes),
      (
        "arithmetic",
        OperatorLibrary.arithmetic + OperatorLibrary.division + OperatorLibrary.elementary + OperatorLibrary.powers
          + OperatorLibrary.rounding + OperatorLibrary.extrema + OperatorLibrary.selection
      ),
    ]
    let found = families.first { _, definitions in
      definitions.contains { definition in
        [definition.name, definition.inPlaceVariantDefinition?.name].contains(OperatorName("aten.\(name)"))
      }
    }
    return found?.0 ?? "other"
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
