import AOTAutograd
import XCTest

@testable import aot

final class ModelTests: XCTestCase {
  func testParameterCounts() throws {
    var random = SeededRandom(seed: 0)
    let mlp = 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    XCTAssertEqual(try DigitsMLP(from: &random).parameterCount, mlp)
    let convnet = 9 * 16 + 16 + 9 * 16 * 32 + 32 + 128 * 10 + 10
    XCTAssertEqual(try DigitsConvnet(from: &random).parameterCount, convnet)
    let block = 2 * 128 + (128 * 384 + 384) + (128 * 128 + 128) + 2 * 128 + (128 * 512 + 512) + (512 * 128 + 128)
    XCTAssertEqual(try GPT(from: &random).parameterCount, 256 * 128 + 64 * 128 + 4 * block + 2 * 128)
  }

  func testEveryParameterIsALeafThatRequiresGradients() throws {
    var random = SeededRandom(seed: 0)
    let trees: [any TensorTree] = [
      try DigitsMLP(from: &random), try DigitsConvnet(from: &random), try GPT(from: &random),
    ]
    for tree in trees { XCTAssertTrue(tree.tensors.allSatisfy { $0.requiresGrad && $0.isLeaf }) }
  }

  func testSameSeedGivesSameParameters() throws {
    var (a, b, c) = (SeededRandom(seed: 3), SeededRandom(seed: 3), SeededRandom(seed: 4))
    let first = try DigitsMLP(from: &a).first.weight.elements(as: Float.self)
    XCTAssertEqual(first, try DigitsMLP(from: &b).first.weight.elements(as: Float.self))
    XCTAssertNotEqual(first, try DigitsMLP(from: &c).first.weight.elements(as: Float.self))
  }

  func testLogitShapes() throws {
    var random = SeededRandom(seed: 0)
    let (images, _) = try Digits.all().selecting(0..<3).tensors()
    XCTAssertEqual(try DigitsMLP(from: &random)(images).shape, [3, 10])
    XCTAssertEqual(try DigitsConvnet(from: &random)(images).shape, [3, 10])
    let size = GPT.Size(context: 8, width: 8, headCount: 2, layerCount: 1)
    let bytes = try Tensor([Int64](repeating: 7, count: 10), shape: [2, 5])
    XCTAssertEqual(try GPT(size, from: &random)(bytes).shape, [2, 5, 256])
  }

  func testGPTSeesNoFuture() throws {
    var random = SeededRandom(seed: 0)
    let gpt = try GPT(GPT.Size(context: 4, width: 8, headCount: 2, layerCount: 2), from: &random)
    let before = try gpt(Tensor([1, 2, 3, 4] as [Int64], shape: [1, 4])).elements(as: Float.self)
    let after = try gpt(Tensor([1, 2, 3, 200] as [Int64], shape: [1, 4])).elements(as: Float.self)
    XCTAssertEqual(before[..<(3 * 256)], after[..<(3 * 256)])
    XCTAssertNotEqual(before, after)
  }
}
