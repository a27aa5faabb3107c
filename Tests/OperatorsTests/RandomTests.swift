import GraphIR
import TensorCore
import XCTest

@testable import Operators

final class RandomTests: XCTestCase {
  func testASeedDecidesAllThatFollows() throws {
    func draw() throws -> [Float] {
      let generator = Generator(seed: 7)
      return try generator.use {
        try Tensor.rand([5]).elements() + Tensor.randn([4]).elements() + Tensor.zeros([3]).uniform_().elements()
      }
    }
    XCTAssertEqual(try draw(), try draw())
    manualSeed(3)
    let first: [Float] = try Tensor.rand([4]).elements()
    let second: [Float] = try Tensor.rand([4]).elements()
    manualSeed(3)
    XCTAssertEqual(first, try Tensor.rand([4]).elements())
    XCTAssertNotEqual(first, second)
  }

  func testUniformStaysBelowOne() throws {
    for dtype in [DType.float16, .bfloat16, .float32, .float64] {
      let drawn = try Tensor.rand([4096], dtype: dtype, generator: Generator(seed: 1)).converted(to: .float64).elements(
        as: Double.self)
      XCTAssert(drawn.allSatisfy { $0 >= 0 && $0 < 1 }, "\(dtype)")
      XCTAssertEqual(drawn.reduce(0, +) / 4096, 0.5, accuracy: 0.02)
    }
  }

  func testNormalHasItsMoments() throws {
    let drawn = try Tensor.empty([20000], dtype: .float64).normal_(mean: 2, std: 3, generator: Generator(seed: 5))
    let values = try drawn.converted(to: .float64).elements(as: Double.self)
    let mean = values.reduce(0, +) / 20000
    XCTAssertEqual(mean, 2, accuracy: 0.1)
    XCTAssertEqual((values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20000).squareRoot(), 3, accuracy: 0.1)
  }

  func testIntegersCoverTheirRange() throws {
    let drawn: [Int] = try Tensor.randint(-2..<3, [500], generator: Generator(seed: 2)).elements()
    XCTAssertEqual(Set(drawn), [-2, -1, 0, 1, 2])
    XCTAssertEqual(
      try Tensor.randperm(50, generator: Generator(seed: 2)).elements(as: Int.self).sorted(), Array(0..<50))
    XCTAssertThrowsError(try Tensor.randint(1..<1, [2]))
  }

  func testDropoutScalesWhatItKeeps() throws {
    let result = try Generator(seed: 4).use { try Tensor.ones([1000]).dropout(0.25, isTraining: true) }
    let values: [Float] = try result.elements()
    XCTAssert(values.allSatisfy { $0 == 0 || abs($0 - 4 / 3) < 1e-6 })
    XCTAssertEqual(Double(values.filter { $0 == 0 }.count), 250, accuracy: 60)
    let input = try Tensor.ones([3])
    XCTAssert(try input.dropout(0.25, isTraining: false) === input)
    XCTAssertThrowsError(try input.dropout(1.5, isTraining: true))
  }

  func testDistributionsHaveTheirMeans() throws {
    func mean(_ fill: (Tensor) throws -> Tensor) throws -> Double {
      let values: [Double] = try Generator(seed: 9).use { try fill(Tensor.ones([20000], dtype: .float64)) }.elements()
      return values.reduce(0, +) / 20000
    }
    XCTAssertEqual(try mean { try $0.exponential_(rate: 4) }, 0.25, accuracy: 0.01)
    XCTAssertEqual(try mean { try OperatorLibrary.geometric(.reference($0), .double(0.2)) }, 5, accuracy: 0.2)
    XCTAssertEqual(try mean { try $0.random_(3..<8) }, 5, accuracy: 0.05)
  }

  func testMultinomialFollowsItsWeights() throws {
    let weights = try Tensor([0.0, 1, 3], shape: [3])
    let drawn: [Int] = try weights.multinomial(4000, replacement: true, generator: Generator(seed: 3)).elements()
    XCTAssertEqual(Double(drawn.filter { $0 == 2 }.count), 3000, accuracy: 150)
    XCTAssertFalse(drawn.contains(0))
    XCTAssertEqual(try weights.multinomial(2, generator: Generator(seed: 3)).elements(as: Int.self).sorted(), [1, 2])
    XCTAssertThrowsError(try weights.multinomial(4))
    XCTAssertThrowsError(try Tensor([1.0, -1]).multinomial(1))
  }

  func testInPlaceDropoutDropsTheSame() throws {
    let fresh = try Generator(seed: 4).use { try Tensor.ones([50]).dropout(0.4, isTraining: true) }
    let inPlace = try Generator(seed: 4).use { try Tensor.ones([50]).dropout_(0.4, isTraining: true) }
    XCTAssertEqual(try fresh.elements(as: Float.self), try inPlace.elements())
  }
}
