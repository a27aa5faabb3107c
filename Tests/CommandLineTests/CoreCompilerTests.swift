import Modules
import XCTest

@testable import aot

/// A compiler that knows core ATen alone is given nothing else.
final class CoreCompilerTests: XCTestCase {
  private struct Unknown: Error, CustomStringConvertible { let description: String }

  /// Runs graphs of core operators node by node, and refuses others. Copies into inputs at the end are no operators of a
  /// functional graph.
  private struct CoreCompiler: GraphCompiler {
    let name = "core"

    func compile(_ module: GraphModule, role: GraphRole) throws -> any CompiledGraph {
      for target in module.graph.nodes.compactMap({ module.graph[$0].target })
      where !target.traits.contains(.core) && target !== GetItem.shared && target !== OperatorLibrary.copy.inPlace {
        throw Unknown(description: "\(target.name) in a \(role.rawValue) graph")
      }
      return InterpretCompiler().compile(module, role: role)
    }
  }

  private var configuration: AOTConfiguration {
    AOTConfiguration(
      compiler: .custom(forward: CoreCompiler(), backward: CoreCompiler(), inference: CoreCompiler()),
      decompositions: .coreATen)
  }

  func testDigitsTrain() throws {
    func losses<Model: DigitsModel>(_ type: Model.Type, _ configuration: AOTConfiguration) throws -> [Double] {
      let images = try Digits.all().selecting(0..<16)
      let training = try DigitsTraining(type, seed: 1, rate: 0.1, momentum: 0.9, configuration: configuration)
      return try (0..<2).map { _ in try training.step(images).loss }
    }
    for (plain, core) in try [
      (losses(DigitsMLP.self, AOTConfiguration()), losses(DigitsMLP.self, configuration)),
      (losses(DigitsConvnet.self, AOTConfiguration()), losses(DigitsConvnet.self, configuration)),
    ] {
      for (plain, core) in zip(plain, core) { XCTAssertEqual(plain, core, accuracy: 1e-4) }
    }
  }

  func testGPTHasTheSameGradients() throws {
    let gpt = try Generator(seed: 3).use { try GPT(GPT.Size(context: 5, width: 8, headCount: 2, layerCount: 2)) }
    let input = try Tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as [Int64], shape: [2, 5])
    func gradients(_ configuration: AOTConfiguration) throws -> [[Float]] {
      let loss = aotModule(gpt, configuration: configuration) { (gpt: GPT, input: Tensor) in try gpt.loss(input, input)
      }
      try loss(input).backward()
      defer { gpt.zeroGrad() }
      return try gpt.parameters.map { try XCTUnwrap($0.grad).elements(as: Float.self) }
    }
    for (plain, core) in zip(try gradients(AOTConfiguration(compiler: .none)), try gradients(configuration)) {
      for (plain, core) in zip(plain, core) { XCTAssertEqual(plain, core, accuracy: 1e-5) }
    }
  }

  func testJointGraphsAreCoreAndStaySo() throws {
    for stages in [
      try ExampleFunctions.digits(.mlp, .loss, AOTConfiguration(decompositions: .coreATen)),
      try ExampleFunctions.digits(.convnet, .loss, AOTConfiguration(decompositions: .coreATen)),
      try ExampleFunctions.gpt(.loss, AOTConfiguration(decompositions: .coreATen)),
    ] {
      let joint = try XCTUnwrap(stages.joint)
      let others = joint.nodes.compactMap { joint[$0].target }.filter {
        !$0.traits.contains(.core) && $0 !== GetItem.shared && $0 !== OperatorLibrary.copy.inPlace
      }
      XCTAssertEqual(Set(others.map(\.name.description)), [])
      // Compared by what they call: a graph's text looks every source line up.
      func names(_ graph: Graph) -> [String] { graph.nodes.map { graph[$0].name } }
      XCTAssertEqual(names(try joint.decomposed(by: .coreATen)), names(joint))
    }
  }
}
