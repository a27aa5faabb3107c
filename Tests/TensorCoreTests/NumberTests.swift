import TensorCore
import XCTest

final class NumberTests: XCTestCase {
  func testEveryHalfSurvivesTheWayThroughFloat() {
    for bits in UInt16.min...UInt16.max {
      let value = Float(Half(bitPattern: bits))
      if value.isNaN { continue }
      XCTAssertEqual(Half(value).bitPattern, bits)
    }
    for bits in UInt16.min...UInt16.max {
      let value = Float(BFloat16(bitPattern: bits))
      if value.isNaN { continue }
      XCTAssertEqual(BFloat16(value).bitPattern, bits)
    }
  }

  func testHalvesRoundToNearestEven() {
    XCTAssertEqual(Half(65504).bitPattern, 0x7BFF)
    XCTAssertEqual(Half(65519.996).bitPattern, 0x7BFF)
    XCTAssertEqual(Half(65520).bitPattern, 0x7C00)
    XCTAssertEqual(Half(1 + 0x1p-11).bitPattern, 0x3C00)
    XCTAssertEqual(Half(1 + 0x3p-11).bitPattern, 0x3C02)
    XCTAssertEqual(Half(0x1p-25).bitPattern, 0)
    XCTAssertEqual(Half(0x1.8p-25).bitPattern, 1)
    XCTAssertEqual(Half(-0.0).bitPattern, 0x8000)
    XCTAssertTrue(Float(Half(.nan)).isNaN)
    XCTAssertEqual(BFloat16(1 + 0x1p-8).bitPattern, 0x3F80)
    XCTAssertTrue(Float(BFloat16(.nan)).isNaN)
  }

  /// The known answers of the reference implementation (Random123, kat_vectors).
  func testPhiloxGivesTheKnownAnswers() {
    XCTAssertEqual(
      Philox(key: 0).block(0), SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    XCTAssertEqual(
      Philox(key: .max).block(.max, .max), SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
  }

  func testDTypesHaveDistinctShortNames() {
    XCTAssertEqual(Set(DType.allCases.map(\.abbreviation)).count, DType.allCases.count)
    for dtype in DType.allCases { XCTAssertEqual(DType(abbreviation: dtype.abbreviation), dtype) }
  }

  func testEachThreadHasItsOwnValue() {
    final class Box { var value = 0 }
    let local = ThreadLocal { Box() }
    local.value.value = 1
    let seen = expectation(description: "another thread")
    Thread {
      XCTAssertEqual(local.value.value, 0)
      seen.fulfill()
    }.start()
    wait(for: [seen], timeout: 10)
    XCTAssertEqual(local.value.value, 1)
  }
}
