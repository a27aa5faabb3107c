import Modules
import XCTest

@testable import aot

final class ModelTests: XCTestCase {
  func testParameterCounts() throws {
    let mlp = 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    XCTAssertEqual(try DigitsMLP(classCount: 10).parameterCount, mlp)
    let convnet = 9 * 16 + 16 + 9 * 16 * 32 + 32 + 128 * 10 + 10
    XCTAssertEqual(try DigitsConvnet(classCount: 10).parameterCount, convnet)
    let block = 2 * 128 + (128 * 384 + 384) + (128 * 128 + 128) + 2 * 128 + (128 * 512 + 512) + (512 * 128 + 128)
    XCTAssertEqual(try GPT().parameterCount, 256 * 128 + 64 * 128 + 4 * block + 2 * 128)
  }

  func testSameSeedGivesSameParameters() throws {
    func weights(_ seed: Int) throws -> [Float] {
      let training = try DigitsTraining(
        DigitsMLP.self, seed: seed, rate: 0, momentum: 0, configuration: AOTConfiguration())
      return try training.model.first.weight.elements(as: Float.self)
    }
    XCTAssertEqual(try weights(3), try weights(3))
    XCTAssertNotEqual(try weights(3), try weights(4))
  }

  func testLogitShapes() throws {
    let (images, _) = try Digits.all().selecting(0..<3).tensors()
    XCTAssertEqual(try DigitsMLP(classCount: 10)(images).shape, [3, 10])
    XCTAssertEqual(try DigitsConvnet(classCount: 10)(images).shape, [3, 10])
    let size = GPT.Size(context: 8, width: 8, headCount: 2, layerCount: 1)
    let bytes = try Tensor([Int64](repeating: 7, count: 10), shape: [2, 5])
    XCTAssertEqual(try GPT(size)(bytes).shape, [2, 5, 256])
  }

  func testAStepIsOneProgram() throws {
    for stages in [try ExampleFunctions.digits(.convnet, .step), try ExampleFunctions.gpt(.step)] {
      XCTAssertNil(stages.joint)
      XCTAssertNil(stages.backward)
      XCTAssertGreaterThan(stages.workspaceByteCount ?? 0, 0)
      XCTAssertTrue(stages.meta.inputs.filter(\.mutatesData).allSatisfy { $0.mutation == .inGraph })
    }
    XCTAssertNotNil(try ExampleFunctions.digits(.convnet, .loss).backward)
  }

  func testGPTSeesNoFuture() throws {
    let gpt = try GPT(GPT.Size(context: 4, width: 8, headCount: 2, layerCount: 2))
    let before = try gpt(Tensor([1, 2, 3, 4] as [Int64], shape: [1, 4])).elements(as: Float.self)
    let after = try gpt(Tensor([1, 2, 3, 200] as [Int64], shape: [1, 4])).elements(as: Float.self)
    XCTAssertEqual(before[..<(3 * 256)], after[..<(3 * 256)])
    XCTAssertNotEqual(before, after)
  }
}
