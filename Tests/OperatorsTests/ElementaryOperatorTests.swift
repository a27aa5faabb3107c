import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// What recorded calls do not show of angles, special functions, signs, neighbors, shifts and `out`.
final class ElementaryOperatorTests: XCTestCase {
  private func assertRefused(
    _ code: OperatorError.Code, _ text: String, line: UInt = #line, _ body: () throws -> Tensor
  ) {
    XCTAssertThrowsError(try body(), line: line) { error in
      guard let error = error as? OperatorError else { return XCTFail("\(error)", line: line) }
      XCTAssertEqual(error.code, code, line: line)
      XCTAssertTrue(error.message.contains(text), error.message, line: line)
    }
  }

  func testShiftsByMoreThanTheWidth() throws {
    let counts = [63, 64, -1, 2, 1, 8, 7] as [Int64]
    let left: [(DType, [Int])] = [
      (.int64, [.min, 0, 0, -32, 200, -25_600, 896]), (.int32, [0, 0, 0, -32, 200, -25_600, 896]),
      (.int8, [0, 0, 0, -32, -56, 0, -128]), (.uint8, [0, 0, 0, 224, 200, 0, 128]),
    ]
    let right: [(DType, [Int])] = [
      (.int64, [0, -1, 0, -2, 50, -1, 0]), (.int32, [0, -1, 0, -2, 50, -1, 0]), (.int8, [0, -1, 0, -2, 50, -1, 0]),
      (.uint8, [0, 0, 0, 62, 50, 0, 0]),
    ]
    for (dtype, expected) in left {
      let values = try Tensor([1, -1, 5, -8, 100, -100, 7] as [Int64]).to(dtype)
      let result = try values.bitwiseLeftShift(Tensor(counts).to(dtype))
      XCTAssertEqual(result.dtype, dtype)
      XCTAssertEqual(try result.to(.int64).elements(as: Int64.self).map(Int.init), expected, "\(dtype)")
    }
    for (dtype, expected) in right {
      let values = try Tensor([1, -1, 5, -8, 100, -100, 7] as [Int64]).to(dtype)
      let result = try values.bitwiseRightShift(Tensor(counts).to(dtype))
      XCTAssertEqual(try result.to(.int64).elements(as: Int64.self).map(Int.init), expected, "\(dtype)")
    }
    assertRefused(.dtype, "bool") { try Tensor([true]).bitwiseLeftShift(Tensor([true])) }
    assertRefused(.dtype, "float32") { try Tensor([1, 2]).bitwiseRightShift(1.5) }
  }

  func testNeighborsOfEveryType() throws {
    let values: [Double] = [1, 1, 0, -0.0, 2, -1, .infinity, -.infinity, 65_504, .nan, 1]
    let toward: [Double] = [2, 0, 1, -1, 2, -2, 0, 0, .infinity, 1, .nan]
    let expected: [(DType, [Double])] = [
      (
        .float16,
        [
          1 + 0x1p-10, 1 - 0x1p-11, 0x1p-24, -0x1p-24, 2, -1 - 0x1p-10, 65_504, -65_504, .infinity, .nan, .nan,
        ]
      ),
      (
        .bfloat16,
        [
          1 + 0x1p-7, 1 - 0x1p-8, 0x1p-133, -0x1p-133, 2, -1 - 0x1p-7, 0x1.FEp127, -0x1.FEp127, 65_536 + 512, .nan,
          .nan,
        ]
      ),
      (
        .float32,
        [
          1 + 0x1p-23, 1 - 0x1p-24, 0x1p-149, -0x1p-149, 2, -1 - 0x1p-23, 0x1.FFFFFEp127, -0x1.FFFFFEp127,
          65_504 + 0x1p-8, .nan, .nan,
        ]
      ),
    ]
    for (dtype, neighbors) in expected {
      let result = try Tensor(values).to(dtype).nextafter(Tensor(toward).to(dtype))
      XCTAssertEqual(result.dtype, dtype)
      for (got, want) in zip(try result.to(.float64).elements(as: Double.self), neighbors) {
        XCTAssertTrue(got == want || got.isNaN && want.isNaN, "\(dtype): got \(got), expected \(want)")
      }
    }
    assertRefused(.dtype, "int64") { try Tensor([1, 2] as [Int64]).nextafter(Tensor([1, 2] as [Int64])) }
  }

  func testAllHalfNeighborsFollowEachOther() throws {
    let ascending = (0..<0x7C00).map { Double(Float(Half(bitPattern: UInt16($0)))) } + [.infinity]
    let halves = try Tensor(ascending).to(.float16)
    let up = try halves.nextafter(Tensor([Double.infinity]).to(.float16)).to(.float64).elements(as: Double.self)
    XCTAssertEqual(up, Array(ascending.dropFirst()) + [.infinity])
    let down = try halves.nextafter(Tensor([-1.0]).to(.float16)).to(.float64).elements(as: Double.self)
    XCTAssertEqual(down, [-0x1p-24] + ascending.dropLast())
  }

  func testRemaindersKeepTheDividendsSign() throws {
    let smallest = try Tensor([Int64(Int32.min), -7]).to(.int32)
    XCTAssertEqual(try smallest.fmod(3).to(.int64).elements(as: Int64.self), [-2, -1])
    let zeros = try Tensor([-0.0, -4]).fmod(2.0).elements(as: Double.self)
    XCTAssertEqual(zeros.map(\.sign), [.minus, .minus])
  }

  func testGammaFunctionsAtTheirPoles() throws {
    let x = try Tensor([0, -0.0, -1, -1.5, .infinity, -.infinity])
    func check(_ result: Tensor, _ expected: [Double], line: UInt = #line) throws {
      for (got, want) in zip(try result.elements(as: Double.self), expected) {
        XCTAssertTrue(got == want || got.isNaN && want.isNaN || abs(got - want) < 1e-14, "\(got), \(want)", line: line)
      }
    }
    try check(x.lgamma(), [.infinity, .infinity, .infinity, 0.860_047_015_376_481, .infinity, .infinity])
    try check(x.digamma(), [-.infinity, .infinity, .nan, 0.703_156_640_645_243_2, .infinity, .nan])
    assertRefused(.argument, "order of 0 or more") { try x.polygamma(-1) }
  }

  func testErfinvUndoesErf() throws {
    let y = stride(from: -0.999, through: 0.999, by: 0.001).map { $0 } + [1e-300, 1 - 1e-15]
    let x = try Tensor(y).erfinv()
    for (got, want) in zip(try x.erf().elements(as: Double.self), y) { XCTAssertEqual(got, want, accuracy: 4e-16) }
    XCTAssertEqual(try Tensor([1.0, -1]).erfinv().elements(as: Double.self), [.infinity, -.infinity])
    XCTAssertTrue(try Tensor([1.5]).erfinv().item().doubleValue.isNaN)
  }

  // MARK: - out

  private func atan2(_ y: Tensor, _ x: Tensor, out: Tensor) throws -> Tensor {
    guard let definition = OperatorLibrary.atan2.outVariantDefinition else { throw XCTSkip("atan2 has no out variant") }
    return try definition(.reference(y), .reference(x), .reference(out))
  }

  func testOutIsWrittenResizedAndReturned() throws {
    let (y, x) = (try Tensor([1, 0, -1] as [Float]), try Tensor([1, 1, 1] as [Float]))
    let wide = try Tensor.zeros([6], dtype: .float64)
    let view = try wide.slice(0, from: 1, to: 6, step: 2)
    let version = wide.storage.version
    XCTAssertTrue(try atan2(y, x, out: view) === view)
    XCTAssertEqual(wide.storage.version, version + 1)
    let quarter: Float = 0.785_398_163
    XCTAssertEqual(try wide.elements(as: Double.self), [0, Double(quarter), 0, 0, 0, -Double(quarter)])

    let empty = try Tensor.zeros([0], dtype: .float32)
    XCTAssertTrue(try atan2(y.reshape([3, 1]), x, out: empty) === empty)
    XCTAssertEqual(empty.shape, [3, 3])
    XCTAssertEqual(try empty.elements(as: Float.self).prefix(3), [quarter, quarter, quarter])

    XCTAssertEqual(try atan2(y, x, out: y).elements(as: Float.self), [quarter, 0, -quarter])
  }

  func testOutIsRefused() throws {
    let x = try Tensor([1, 2, 3] as [Float])
    assertRefused(.dtype, "int64") { try atan2(x, x, out: Tensor.zeros([3], dtype: .int64)) }
    assertRefused(.overlap, "share") { try atan2(x, x, out: Tensor.zeros([1]).expand([3])) }
    let long = try Tensor([1, 2, 3, 4] as [Float])
    assertRefused(.overlap, "share") {
      try atan2(long.slice(0, from: 0, to: 3), x, out: long.slice(0, from: 1, to: 4))
    }
    XCTAssertEqual(try long.elements(as: Float.self), [1, 2, 3, 4])
  }
}
