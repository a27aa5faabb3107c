import AOTAutograd
import XCTest

/// Variables that compiled functions read without getting them as arguments.
final class GuardedVariableTests: XCTestCase {
  private final class Settings {
    @Guarded var isDoubled = false
    @Guarded var factor = 1.0
    @Guarded var weight: Tensor?
    @Guarded var weights: [Tensor] = []
    @Guarded var name = "a"
  }

  private func values(_ tensor: Tensor) throws -> [Float] { try tensor.elements(as: Float.self) }

  func testAFunctionIsCompiledAnewWhereAVariableThatItReadHasChanged() throws {
    let settings = Settings()
    let function = aotFunction { (x: Tensor) in
      var y = try x * settings.factor
      if settings.isDoubled { y = try y * 2 }
      if let weight = settings.weight { y = try y + weight }
      return try settings.weights.reduce(y) { try $0 - $1 }
    }
    let x = try Tensor([1, 2] as [Float])
    func assert(_ wanted: [Float], entries: Int, line: UInt = #line) throws {
      for _ in 0..<2 { XCTAssertEqual(try values(function(x)), wanted, line: line) }
      XCTAssertEqual(function.entryCount, entries, line: line)
    }
    try assert([1, 2], entries: 1)
    settings.isDoubled = true
    try assert([2, 4], entries: 2)
    settings.factor = 3
    try assert([6, 12], entries: 3)
    settings.weight = try Tensor([1, 1] as [Float])
    try assert([7, 13], entries: 4)
    settings.weight = try Tensor([2, 2] as [Float])
    try assert([8, 14], entries: 5)
    settings.weights = [x]
    try assert([7, 12], entries: 6)
    // What it does not read does not matter, and what it was compiled for once it need not be again.
    settings.name = "b"
    try assert([7, 12], entries: 6)
    (settings.isDoubled, settings.factor, settings.weight, settings.weights) = (false, 1, nil, [])
    try assert([1, 2], entries: 6)
  }

  func testTheReasonNamesTheVariable() throws {
    let settings = Settings()
    let function = aotFunction { (x: Tensor) in try x * settings.factor }
    let reasons = Locked<[String]>([])
    let subscription = AOTLog.addHandler(for: [.recompiles]) { event in
      if "\(event.function)".contains("GuardedVariableTests") { reasons.withLock { $0.append("\(event)") } }
    }
    _ = try function(Tensor.ones([2]))
    settings.factor = 2.5
    _ = try function(Tensor.ones([2]))
    subscription.cancel()
    let text = reasons.withLock { $0.joined() }
    XCTAssertTrue(text.contains("GuardedVariableTests.swift:8: value was 1.0, is 2.5"), text)
  }

  func testACapturedFunctionCannotSetAVariable() throws {
    let settings = Settings()
    let function = aotFunction { (x: Tensor) in
      settings.factor = 2
      return try x * settings.factor
    }
    XCTAssertThrowsError(try function(Tensor.ones([2]))) { error in
      XCTAssertEqual((error as? OperatorError)?.code, .argument)
      XCTAssertTrue("\(error)".contains("before the call"), "\(error)")
    }
  }

  func testAnInnerCompiledFunctionsReadsCountForTheOuterOne() throws {
    let settings = Settings()
    let inner = aotFunction { (x: Tensor) in try x * settings.factor }
    let outer = aotFunction { (x: Tensor) in try inner(x) + 1 }
    let x = try Tensor([1, 2] as [Float])
    XCTAssertEqual(try values(outer(x)), [2, 3])
    settings.factor = 5
    XCTAssertEqual(try values(outer(x)), [6, 11])
  }
}
