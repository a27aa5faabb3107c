import AOTAutograd
import Conformance
import Foundation
import GraphIR
import Operators
import XCTest

/// Calls recorded from PyTorch, made again.
final class OperatorConformanceTests: XCTestCase {
  func testRecordedCallsReplay() throws { try replay(.eager) }

  func testRecordedCallsReplayCompiled() throws { try replay(.compiled(AOTConfiguration())) }

  /// The values and gradients are those of the operators, whatever they are decomposed into.
  func testRecordedCallsReplayDecomposed() throws {
    for table in [DecompositionTable.coreATen, .primitives] {
      try replay(.compiled(AOTConfiguration(decompositions: table)), of: Facts.sample)
    }
  }

  func testCoreOperatorsAreThoseRecorded() throws {
    let recorded = try OperatorFacts(folder: Facts.operators).schemas()
    for definition in OperatorLibrary.all {
      guard let tags = recorded["\(definition.name.base).\(definition.name.overload)"]?.tags else { continue }
      XCTAssertEqual(definition.traits.contains(.core), tags.contains("core"), "\(definition.name)")
    }
  }

  private func replay(
    _ mode: ReplayMode, of folder: URL = Facts.operators, file: StaticString = #filePath, line: UInt = #line
  ) throws {
    var passed = 0
    OperatorReplay(try OperatorFacts(folder: folder), mode: mode).run { result in
      switch result.outcome {
      case .passed: passed += 1
      case .failed(let mismatch): XCTFail("\(result.id): \(mismatch)", file: file, line: line)
      case .skipped: break
      }
    }
    XCTAssertGreaterThan(passed, 600, file: file, line: line)
  }

  func testSchemasAreThoseRecorded() throws {
    let recorded = try OperatorFacts(folder: Facts.operators).schemas()
    for definition in OperatorLibrary.all {
      let name = "\(definition.name.base).\(definition.name.overload)"
      guard let text = recorded[name]?.schema else { continue }
      XCTAssertEqual(definition.schema, try OperatorSchema(parsing: text), name)
    }
  }
}
