import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Scatters: what becomes of elements that meet, and calls that are refused before anything is written.
final class ScatterTests: XCTestCase {
  private func assertThrows(
    _ code: OperatorError.Code, mentioning text: String = "", line: UInt = #line,
    _ body: @autoclosure () throws -> Tensor
  ) {
    XCTAssertThrowsError(try body(), line: line) { error in
      XCTAssertEqual((error as? OperatorError)?.code, code, line: line)
      XCTAssert("\(error)".contains(text) || text.isEmpty, "\(error)", line: line)
    }
  }

  func testReductionsOfElementsThatMeet() throws {
    let index = try Tensor([0, 0, 1])
    let cases: [(reduce: String, withSelf: [Float], without: [Float])] = [
      ("sum", [10, 5, 4], [9, 3, 4]), ("prod", [20, 6, 4], [20, 3, 4]), ("mean", [10 / 3, 2.5, 4], [4.5, 3, 4]),
      ("amax", [5, 3, 4], [5, 3, 4]), ("amin", [1, 2, 4], [4, 3, 4]),
    ]
    for (reduce, withSelf, without) in cases {
      for dtype in [DType.float32, .float64, .float16, .bfloat16] {
        let x = try Tensor([1, 2, 4] as [Float]).to(dtype)
        let source = try Tensor([5, 4, 3] as [Float]).to(dtype)
        for (includeSelf, expected) in [(true, withSelf), (false, without)] {
          let result = try x.scatterReduce(0, index, source, reduce: reduce, includeSelf: includeSelf).float()
          for (got, want) in zip(try result.elements(as: Float.self), expected) {
            XCTAssertEqual(got, want, accuracy: dtype.byteCount == 2 ? 0.02 : 1e-6, "\(reduce) \(dtype)")
          }
          guard reduce != "sum" else { continue }
          let sliced = try x.indexReduce(0, index, source, reduce: reduce, includeSelf: includeSelf)
          XCTAssertEqual(try sliced.float().elements(as: Float.self), try result.elements())
        }
      }
    }
  }

  func testMeansOfIntegersRoundDown() throws {
    let x = try Tensor([-3, 7, 0])
    XCTAssertEqual(
      try x.scatterReduce(0, Tensor([0, 0]), Tensor([-5, 1]), reduce: "mean").elements(), [-3, 7, 0] as [Int])
    XCTAssertEqual(try x.scatterReduce(0, Tensor([0]), Tensor([-4]), reduce: "mean").elements(), [-4, 7, 0] as [Int])
  }

  func testExtremesKeepNaN() throws {
    let x = try Tensor([.nan, 1, 2] as [Float])
    for reduce in ["amax", "amin"] {
      let result = try x.scatterReduce(0, Tensor([0, 1, 1]), Tensor([1, .nan, 3] as [Float]), reduce: reduce)
      XCTAssertEqual(try result.elements(as: Float.self).map(\.isNaN), [true, true, false])
    }
  }

  func testBoolsAndBytes() throws {
    let flags = try Tensor([true, false, true])
    let (index, source) = (try Tensor([0, 1, 1]), try Tensor([false, true, false]))
    XCTAssertEqual(try flags.scatterReduce(0, index, source, reduce: "sum").elements(), [true, true, true])
    XCTAssertEqual(try flags.scatterReduce(0, index, source, reduce: "prod").elements(), [false, false, true])
    let bytes = try Tensor([250, 1] as [UInt8]).scatterReduce(0, Tensor([0]), Tensor([10] as [UInt8]), reduce: "sum")
    XCTAssertEqual(try bytes.elements(), [4, 1] as [UInt8])
    assertThrows(.dtype, try flags.scatterReduce(0, index, source, reduce: "mean"))
    assertThrows(.dtype, try flags.indexReduce(0, index, source, reduce: "amax"))
  }

  func testManyHalvesThatMeetSumWell() throws {
    let ones = try Tensor.ones([4096], dtype: .float16)
    let sum = try Tensor.zeros([1], dtype: .float16).scatterAdd(0, Tensor.zeros([4096], dtype: .int64), ones)
    XCTAssertEqual(try sum.float().elements(), [4096] as [Float])
  }

  func testAnIndexOutOfRangeIsNamedAndNothingIsWritten() throws {
    let x = try Tensor([1, 2, 3] as [Float])
    let (bad, source) = (try Tensor([0, 7]), try Tensor([8, 9] as [Float]))
    let named = "argument 'index': index 7 is out of range for a dimension of size 3"
    assertThrows(.index, mentioning: "scatter_.src", try x.scatter_(0, bad, source))
    assertThrows(.index, mentioning: named, try x.scatterAdd_(0, bad, source))
    for reduce in ["sum", "prod", "mean", "amax", "amin"] {
      assertThrows(
        .index, mentioning: named, try x.scatterReduce_(0, bad, source, reduce: reduce, includeSelf: false))
    }
    assertThrows(.index, mentioning: named, try x.indexAdd_(0, bad, source))
    assertThrows(.index, try x.put_(bad, source))
    assertThrows(.index, mentioning: "argument 'indices'", try x.indexPut_([bad], source, accumulate: true))
    assertThrows(.elements, try x.maskedScatter_(x.gt(0), source))
    XCTAssertEqual(try x.elements(), [1, 2, 3] as [Float])
    XCTAssertEqual(x.storage.version, 0)
  }

  func testWhereNegativeIndicesCountFromTheEnd() throws {
    let x = try Tensor([1, 2, 3] as [Float])
    let (last, nine) = (try Tensor([-1]), try Tensor([9] as [Float]))
    XCTAssertEqual(try x.take(last).elements(), [3] as [Float])
    XCTAssertEqual(try x.put(last, nine).elements(), [1, 2, 9] as [Float])
    XCTAssertEqual(try x.indexFill(0, last, 9.0).elements(), [1, 2, 9] as [Float])
    XCTAssertEqual(try x.takeAlong(0, Tensor([-1, 5])).elements(), [3, 3] as [Float])
    for body in [
      { _ = try x.gather(0, last) }, { _ = try x.scatter(0, last, nine) }, { _ = try x.indexSelect(0, last) },
      { _ = try x.indexAdd(0, last, nine) }, { _ = try x.indexCopy(0, last, nine) },
      { _ = try x.indexReduce(0, last, nine, reduce: "amax") }, { _ = try x.take(Tensor([-4])) },
    ] {
      XCTAssertThrowsError(try body()) { XCTAssertEqual(($0 as? OperatorError)?.code, .index) }
    }
  }

  func testRefusals() throws {
    let x = try Tensor([1, 2, 3] as [Float])
    let (index, source) = (try Tensor([0]), try Tensor([1] as [Float]))
    assertThrows(.argument, mentioning: "amax, amin, mean", try x.scatterReduce(0, index, source, reduce: "max"))
    assertThrows(.argument, try x.indexReduce(0, index, source, reduce: "sum"))
    assertThrows(.dtype, try x.scatterReduce(0, index, Tensor([1]), reduce: "sum"))
    assertThrows(.dtype, try x.take(Tensor([0] as [Int32])))
    assertThrows(.dtype, try x.indexCopy(0, Tensor([0] as [Int32]), source))
    assertThrows(.shape, try x.put(Tensor([0, 1]), source))
    assertThrows(.shape, try x.indexAdd(0, index, Tensor.scalar(1.0)))
    assertThrows(.argument, try x.maskedScatter(Tensor([1, 0, 1] as [UInt8]), source))
    assertThrows(.argument, mentioning: "fits", try Tensor([1] as [UInt8]).scatter(0, index, value: 300))
  }

  func testPlacesWhereAConditionHolds() throws {
    let x = try Tensor.zeros([2, 3])
    let mask = try Tensor([true, false, true])
    let source = try Tensor([1, 2, 3, 4, 5] as [Float])
    XCTAssertEqual(try x.maskedScatter(mask, source).elements(), [1, 0, 2, 3, 0, 4] as [Float])
    // Through strides other than row-major ones, still in row-major order.
    let y = try Tensor.zeros([3, 2])
    try y.t().maskedScatter_(mask, source)
    XCTAssertEqual(try y.elements(), [1, 3, 0, 0, 2, 4] as [Float])
    let back = try OperatorLibrary.maskedScatterBackward(
      .reference(x.maskedScatter(mask, source)), .reference(mask), Value([5]))
    XCTAssertEqual(try back.elements(), [1, 2, 3, 4, 0] as [Float])
  }
}
