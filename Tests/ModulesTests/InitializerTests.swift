import Modules
import XCTest

/// Parameters start as PyTorch's do: from the same distributions.
final class InitializerTests: XCTestCase {
  /// Bounds are bounds; means and deviations of n elements agree up to a few times their own deviations.
  private func assertAlike(_ tensor: Tensor?, _ want: Facts.Distribution, _ name: String) throws {
    let tensor = try XCTUnwrap(tensor, name)
    XCTAssertEqual(tensor.shape, want.shape, name)
    let values = try elements(tensor)
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
    XCTAssertEqual(mean, want.mean, accuracy: 6 * want.deviation / count.squareRoot() + 1e-12, "\(name), mean")
    XCTAssertEqual(
      deviation, want.deviation, accuracy: 6 * want.deviation / count.squareRoot() + 1e-12, "\(name), deviation")
    // Uniform distributions and constants go as far; the extremes of normal ones are chance.
    guard want.high - want.low < 5 * want.deviation || want.deviation == 0 else { return }
    let step = 20 * (want.high - want.low) / count + 1e-12
    XCTAssertEqual(try XCTUnwrap(values.min()), want.low, accuracy: step, "\(name), smallest")
    XCTAssertEqual(try XCTUnwrap(values.max()), want.high, accuracy: step, "\(name), largest")
  }

  private static let modules: [String: @Sendable () throws -> Module] = [
    "linear": { try Linear(300, 200) },
    "conv2d": { try Conv2d(64, 60, kernelSize: 3, groups: 2) },
    "conv_transpose2d": { try ConvTranspose2d(60, 64, kernelSize: 3, groups: 2) },
    "embedding": { try Embedding(300, 100) },
    "batch_norm2d": { try BatchNorm2d(4) },
    "attention": { try MultiheadAttention(120, heads: 4) },
    "encoder_layer": { try TransformerEncoderLayer(120, heads: 4, feedForward: 200) },
  ]

  private static let initializers: [String: Initializer] = [
    "kaiming_uniform": .kaimingUniform(mode: .fanOut, nonlinearity: .relu),
    "kaiming_normal": .kaimingNormal(nonlinearity: .leakyReLU(negativeSlope: 0.2)),
    "xavier_uniform": .xavierUniform(gain: Nonlinearity.tanh.gain),
    "xavier_normal": .xavierNormal(),
    "normal": .normal(mean: 1, std: 0.02),
    "uniform": .uniform(-0.5, 0.25),
    "trunc_normal": .truncatedNormal(mean: 0.5, std: 1, -0.5, 1),
  ]

  func testModulesStartAsInPyTorch() throws {
    let facts = try Facts.read("distributions", as: Facts.Distributions.self).modules
    XCTAssertEqual(facts.keys.sorted(), Self.modules.keys.sorted())
    for (name, entries) in facts {
      let module = try Generator(seed: 1).use { try XCTUnwrap(Self.modules[name])() }
      let state = try module.stateDict
      for (key, want) in entries { try assertAlike(state[key], want, "\(name).\(key)") }
    }
  }

  func testInitializersFillAsInPyTorch() throws {
    let facts = try Facts.read("distributions", as: Facts.Distributions.self).initializers
    XCTAssertEqual(facts.keys.sorted(), Self.initializers.keys.sorted())
    for (name, want) in facts {
      let initializer = try XCTUnwrap(Self.initializers[name])
      try assertAlike(initializer(want.shape, generator: Generator(seed: 2)), want, name)
    }
  }

  func testASeedDecidesAllParameters() throws {
    func parameters(_ seed: UInt64) throws -> [[Double]] {
      try Generator(seed: seed).use { try TransformerEncoderLayer(4, heads: 2, feedForward: 6) }.parameters.map(
        elements)
    }
    XCTAssertEqual(try parameters(3), try parameters(3))
    XCTAssertNotEqual(try parameters(3), try parameters(4))
  }

  func testParametersKeepTheirIdentityWhenFilled() throws {
    let layer = try Linear(3, 2)
    let weight = layer.weight
    try Initializer.ones.fill(layer.weight)
    XCTAssertTrue(layer.weight === weight && weight.isLeaf && weight.requiresGrad)
    XCTAssertEqual(try elements(weight), [1, 1, 1, 1, 1, 1])
  }

  func testWhatHasNoFansIsRefused() {
    assertThrows(.invalidSetting, "[5]") { try Initializer.xavierUniform()([5]) }
    assertThrows(.invalidSetting) { try Initializer.kaimingNormal()([0, 5]) }
  }
}
