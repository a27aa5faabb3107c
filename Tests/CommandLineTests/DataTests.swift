import TensorCore
import XCTest

@testable import aot

final class DataTests: XCTestCase {
  func testDigits() throws {
    let digits = try Digits.all()
    XCTAssertEqual(digits.count, 1797)
    XCTAssertEqual(digits.pixels.count, 1797 * 64)
    // The first image and the number of images per class, as in the source.
    XCTAssertEqual(digits.labels[0], 0)
    XCTAssertEqual(digits.pixels[..<8].map { Int($0 * 16) }, [0, 0, 5, 13, 9, 1, 0, 0])
    let counts = (0..<10).map { label in digits.labels.filter { $0 == label }.count }
    XCTAssertEqual(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    XCTAssertEqual(digits.pixels.min(), 0)
    XCTAssertEqual(digits.pixels.max(), 1)
  }

  func testDigitsSplit() throws {
    let (training, test) = try Digits.split()
    XCTAssertEqual(training.count, 1437)
    XCTAssertEqual(test.count, 360)
    let all = try Digits.all()
    XCTAssertEqual((training.pixels + test.pixels).sorted(), all.pixels.sorted())
    XCTAssertEqual((training.labels + test.labels).sorted(), all.labels.sorted())
    XCTAssertEqual(try Digits.split().test.labels, test.labels)
  }

  func testDigitsBatchesAreFullAndDisjoint() throws {
    let digits = try Digits.all().selecting(0..<10)
    var random = SeededRandom(seed: 1)
    let batches = digits.batches(of: 3, shuffledBy: &random)
    XCTAssertEqual(batches.map(\.count), [3, 3, 3])
    XCTAssertEqual(Set(batches.flatMap(\.labels)).count, 9)
    let (images, labels) = try batches[0].tensors()
    XCTAssertEqual(images.shape, [3, 64])
    XCTAssertEqual(labels.shape, [3])
  }

  func testGenesis() throws {
    let bytes = try TextData.genesisBytes()
    XCTAssertEqual(bytes.count, 208_397)
    XCTAssertTrue(String(decoding: bytes, as: UTF8.self).hasPrefix("Ge1:1 In the beginning God created the heaven"))
    let data = try TextData(bytes, context: 64)
    XCTAssertEqual(data.training.count, 187_557)
    XCTAssertEqual(data.validation.count, 20_840)
    XCTAssertEqual(TextData.coveringStarts(in: data.validation, context: 64).count, 325)
  }

  func testTextBatchesAreShiftedByOne() throws {
    let data = try TextData(Array("abcdefghijklmnopqrstuvwxyzabcdefghijklmn".utf8), context: 3)
    let (inputs, targets) = try TextData.batch(data.validation, starts: [0], context: 3)
    XCTAssertEqual(try inputs.elements(as: Int64.self), "klm".utf8.map { Int64($0) })
    XCTAssertEqual(try targets.elements(as: Int64.self), "lmn".utf8.map { Int64($0) })
    XCTAssertEqual(targets.shape, [1, 3])
  }

  func testUnusableTexts() {
    XCTAssertThrowsError(try TextData([1, 2, 3], context: 3)) { error in
      XCTAssertTrue("\(error)".contains("too short"), "\(error)")
    }
    XCTAssertThrowsError(try TextData.bytes(ofFile: "/nowhere/text")) { error in
      XCTAssertTrue("\(error)".contains("cannot read /nowhere/text"), "\(error)")
    }
  }

  func testDamagedDataIsRefused() {
    let data: StaticString = "abc"
    XCTAssertEqual(try data.verifiedBytes(checksum: 0xE71F_A219_0541_574B, name: "letters"), Array("abc".utf8))
    XCTAssertThrowsError(try data.verifiedBytes(checksum: 1, name: "letters")) { error in
      XCTAssertTrue("\(error)".hasPrefix("the embedded letters is damaged"), "\(error)")
    }
  }

  func testSeededRandom() {
    var random = SeededRandom(seed: 5)
    XCTAssertEqual(random.permutation(100).sorted(), Array(0..<100))
    let normal = (0..<10_000).map { _ in random.normal() }
    let mean = normal.reduce(0, +) / 10_000
    XCTAssertEqual(mean, 0, accuracy: 0.05)
    XCTAssertEqual(normal.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 10_000, 1, accuracy: 0.05)
    var (a, b) = (SeededRandom(seed: 1), SeededRandom(seed: 1))
    XCTAssertEqual((0..<4).map { _ in a.next() }, (0..<4).map { _ in b.next() })
  }
}
