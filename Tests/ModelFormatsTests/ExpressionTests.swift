import XCTest

@testable import ModelFormats

final class ExpressionTests: XCTestCase {
  private let symbols = ["s0": 7, "s1": 3]

  func testPythonExpressionsHavePythonsValues() throws {
    for (text, value) in [
      ("2*s0 + 1", 15.0), ("s0 - s1 - 1", 3), ("2 ** 3 ** 2", 512), ("-s0 // 2", -4), ("-s0 % s1", 2), ("s0 / 2", 3.5),
      ("(s0 + s1)*2", 20), ("s0 >= 7 and not s1 == 4", 1), ("s0 < 7 or s1 != 3", 0), ("torch.sym_max(s0, s1 + 9)", 12),
      ("math.floor(s0 / 2)", 3), ("-2 ** 2", -4), ("s0 << 2 | 1", 29), ("1e2 + s1", 103), ("0.5*s1", 1.5),
    ] {
      XCTAssertEqual(try PythonExpression(parsing: text).number(symbols).doubleValue, value, text)
    }
  }

  func testNestedCallsHaveTheSameValues() throws {
    let s0 = "Symbol('s0', positive=True, integer=True)"
    for (text, value) in [
      ("Add(Mul(Integer(2), \(s0)), Integer(-1))", 13.0), ("FloorDiv(\(s0), Integer(2))", 3),
      ("Mod(\(s0), Integer(4))", 3), ("Max(Integer(9), \(s0), Integer(2))", 9), ("GreaterThan(\(s0), Integer(7))", 1),
      ("Mul(Float('0.5', precision=53), ToFloat(\(s0)))", 3.5), ("Pow(\(s0), Integer(2))", 49),
      ("CeilToInt(IntTrueDiv(\(s0), Integer(2)))", 4), ("Mul(\(s0), \(s0), Integer(2))", 98),
    ] {
      let expression = try PythonExpression(parsing: text)
      XCTAssertEqual(try expression.number(symbols).doubleValue, value, text)
      XCTAssertEqual(expression.symbols, ["s0"], text)
    }
  }

  func testWhatHasNoValueThrows() {
    for text in [
      "s0 // 0", "s0 % 0", "s0 / 0", "s2", "9223372036854775807 + s0", "10 ** 40", "f(s0)", "L['x']", "'s0'",
      "s0.size()",
      "-(0 - 9223372036854775807 - 1)",
    ] {
      XCTAssertThrowsError(try PythonExpression(parsing: text).number(symbols), text)
    }
    for text in ["", "s0 +", "(s0", "s0)", "2 s0", "s0[", "f(s0", "'s0", "1.2.3", "s0..x", "=", "a = 1"] {
      XCTAssertThrowsError(try PythonExpression(parsing: text), text)
    }
  }

  func testNestingIsBounded() {
    for text in [
      String(repeating: "(", count: 100_000), String(repeating: "-", count: 100_000) + "1",
      String(repeating: "f(", count: 100_000), "s0" + String(repeating: "**s0", count: 100_000),
      String(repeating: "not ", count: 100_000) + "s0",
    ] {
      XCTAssertThrowsError(try PythonExpression(parsing: text))
    }
  }

  func testSizesAreSolvedForTheirSymbols() throws {
    func solve(_ sizes: [(text: String, size: Int)]) throws -> [String: Int] {
      var solution = SymbolSolution()
      for (text, size) in sizes {
        try solution.require(.expression(try PythonExpression(parsing: text), text: text, hint: nil), size, "size")
      }
      try solution.solve()
      return solution.values
    }
    let (a, b) = ("Symbol('a')", "Symbol('b')")
    XCTAssertEqual(try solve([("Add(Mul(Integer(2), \(a)), \(b))", 11), (b, 5)]), ["a": 3, "b": 5])
    XCTAssertEqual(try solve([("Mul(Integer(3), \(a))", 12), ("Add(\(a), \(b))", 6)]), ["a": 4, "b": 2])
    XCTAssertThrowsError(try solve([("Mul(Integer(3), \(a))", 13)]))
    XCTAssertThrowsError(try solve([(a, 2), (a, 3)]))
  }
}
