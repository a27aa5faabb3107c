import AOTAutograd
import XCTest

/// Whole training steps, trees of tensors, randomness and closed-over state in compiled functions.
final class CompiledTrainingTests: XCTestCase {
  private func assertEqual(
    _ got: [Tensor], _ want: [Tensor], _ name: String, accuracy: Double = 1e-5, line: UInt = #line
  ) {
    for (index, (a, b)) in zip(got.map(CallRecord.values), want.map(CallRecord.values)).enumerated() {
      XCTAssertEqual(a.count, b.count, "\(name), \(index)", line: line)
      for (x, y) in zip(a, b) { XCTAssertEqual(x, y, accuracy: accuracy, "\(name), \(index)", line: line) }
    }
  }

  // MARK: - Training

  private final class Model {
    let weights: [Tensor]
    let momenta: [Tensor]

    init() throws {
      weights = try [
        wave([3, 4], requiresGrad: true), wave([4], from: 1, requiresGrad: true), wave([4, 2], requiresGrad: true),
      ]
      momenta = try weights.map { try $0.zerosLike() }
    }

    func step(_ x: Tensor, _ y: Tensor) throws -> Tensor {
      let hidden = try x.linear(weights[0].t(), bias: weights[1]).tanh()
      let loss = try hidden.matmul(weights[2]).mseLoss(y)
      let gradients = try grad(of: loss, with: weights)
      try noGrad {
        for (index, gradient) in gradients.enumerated() {
          try momenta[index].mul_(0.9).add_(gradient)
          try weights[index].sub_(momenta[index], alpha: 0.1)
        }
      }
      return loss
    }
  }

  func testTwentyStepsOfMomentumInPlace() throws {
    for (name, configuration) in comparedConfigurations {
      let (model, eager) = (try Model(), try Model())
      let step = aotFunction(configuration: configuration) { (x: Tensor, y: Tensor) in try model.step(x, y) }
      for round in 0..<20 {
        let (x, y) = (try wave([5, 3], from: Double(round)), try wave([5, 2], from: Double(round) / 2))
        assertEqual([try step(x, y)], [try eager.step(x, y)], "\(name), loss \(round)")
      }
      assertEqual(model.weights + model.momenta, eager.weights + eager.momenta, name)
      XCTAssertEqual(step.entryCount, 1, name)
      for weight in model.weights {
        XCTAssertTrue(weight.isLeaf && weight.requiresGrad, name)
        XCTAssertNil(weight.grad, name)
      }
    }
  }

  func testGradientsAccumulateOverCallsAndParametersAreReadAnew() throws {
    for (name, configuration) in comparedConfigurations {
      let (w, eager) = (try wave([3], requiresGrad: true), try wave([3], requiresGrad: true))
      let function = aotFunction(configuration: configuration) { (x: Tensor) in try (x * w).sin().sum() }
      for round in 0..<4 {
        let x = try wave([3], from: Double(round))
        let (loss, other) = (try function(x), try (x * eager).sin().sum())
        try loss.backward(retainGraph: true)
        try other.backward(retainGraph: true)
        if round == 1 {
          try loss.backward()
          try other.backward()
        }
        if round == 2 { try noGrad { for tensor in [w, eager] { try tensor.mul_(0.5) } } }
      }
      assertEqual([w, try XCTUnwrap(w.grad)], [eager, try XCTUnwrap(eager.grad)], name)
      XCTAssertEqual(function.entryCount, 1, name)
    }
  }

  func testAWholeEagerNetworkAroundACompiledLayer() throws {
    for (name, configuration) in comparedConfigurations {
      func run(_ layer: (Tensor, Tensor) throws -> Tensor) throws -> [Tensor] {
        let (x, w) = (try wave([3, 3], requiresGrad: true), try wave([3, 3], from: 2, requiresGrad: true))
        var hidden = try x * 2
        for _ in 0..<3 { hidden = try layer(hidden, w) + x }
        try hidden.mul_(2)
        try hidden.square().mean().backward()
        return try [XCTUnwrap(x.grad), XCTUnwrap(w.grad)]
      }
      let layer = aotFunction(configuration: configuration) { (x: Tensor, w: Tensor) in try x.matmul(w).tanh() }
      assertEqual(try run { try layer($0, $1) }, try run { try $0.matmul($1).tanh() }, name)
    }
  }

  func testACompiledFunctionInsideAnotherIsInlined() throws {
    let inner = aotFunction { (x: Tensor) in
      try x.mul_(2)
      return try x.tanh()
    }
    for (name, configuration) in comparedConfigurations {
      let outer = aotFunction(configuration: configuration) { (x: Tensor) in
        let y = try x + 1
        return (try inner(y).sum(), y)
      }
      let x = try wave([3], requiresGrad: true)
      let (loss, y) = try outer(x)
      try loss.backward()
      let eager = try wave([3], requiresGrad: true)
      let twice = try (eager + 1) * 2
      try twice.tanh().sum().backward()
      assertEqual([y, try XCTUnwrap(x.grad)], [twice, try XCTUnwrap(eager.grad)], name)
      XCTAssertEqual(inner.entryCount, 0, name)
    }
  }

  // MARK: - Trees

  private struct Layer: TensorTree {
    var weight: Tensor
    var bias: Tensor?
    var scale = 1.0
    func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Layer {
      try Layer(weight: transform(weight), bias: bias.map(transform), scale: scale)
    }
  }

  func testTreesInAndOut() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) {
        (layers: [String: Layer], x: [Tensor], extra: Tensor?) in
        var results: [String: Layer] = [:]
        for (key, layer) in layers {
          let weight = try x.reduce(layer.weight) { try $0 + $1 } * layer.scale
          results[key] = Layer(weight: weight, bias: try layer.bias?.neg(), scale: layer.scale + 1)
        }
        return (results, extra, [try x[0] * 2, x[0]])
      }
      let (a, b, x) = (try wave([2], requiresGrad: true), try wave([2]), try wave([2], from: 1))
      let (layers, extra, list) = try function(
        ["first": Layer(weight: a, bias: nil), "second": Layer(weight: b, bias: a, scale: 3)], [x], nil)
      XCTAssertNil(extra, name)
      XCTAssertNil(layers["first"]?.bias, name)
      XCTAssertEqual(layers["second"]?.scale, 4, name)
      XCTAssertTrue(list[1] === x, name)
      assertEqual(
        try [XCTUnwrap(layers["first"]).weight, XCTUnwrap(layers["second"]).weight, XCTUnwrap(layers["second"]?.bias)],
        try [a + x, (b + x) * 3, a.neg()], name)
      XCTAssertTrue(
        layers["first"]?.weight.requiresGrad == true && layers["second"]?.weight.requiresGrad == false, name)
      _ = try function(["first": Layer(weight: a, bias: nil), "other": Layer(weight: b, bias: a, scale: 3)], [x], nil)
      XCTAssertEqual(function.entryCount, 2, name)
      let (_, given, _) = try function([:], [x, x], b)
      XCTAssertTrue(given === b, name)
      XCTAssertEqual(function.entryCount, 3, name)
    }
  }

  func testConstantsAreCompiledIn() throws {
    let function = aotFunction { (x: Tensor, power: Int, negates: Bool, name: String) in
      let y = try x.pow(power)
      return negates ? try y.neg() : y
    }
    let x = try Tensor([2, 3] as [Float])
    XCTAssertEqual(try function(x, 2, false, "a").elements(as: Float.self), [4, 9])
    XCTAssertEqual(try function(x, 3, true, "a").elements(as: Float.self), [-8, -27])
    XCTAssertEqual(try function(x, 2, false, "a").elements(as: Float.self), [4, 9])
    XCTAssertEqual(function.entryCount, 2)
  }

  // MARK: - Randomness

  func testRandomnessIsNewAtEachCallAndFollowsTheSeed() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) { (x: Tensor) in
        try x.dropout(0.5, isTraining: true) + Tensor.randn([64])
      }
      let x = try Tensor.ones([64]).requiringGrad()
      func draw(_ seed: UInt64, _ function: (Tensor) throws -> Tensor) throws -> [[Double]] {
        try Generator(seed: seed).use { try (0..<2).map { _ in CallRecord.values(try function(x)) } }
      }
      let draws = try draw(7) { try function($0) }
      XCTAssertNotEqual(draws[0], draws[1], name)
      XCTAssertEqual(try draw(7) { try function($0) }, draws, name)
      XCTAssertNotEqual(try draw(8) { try function($0) }, draws, name)
      manualSeed(3)
      let seeded = CallRecord.values(try function(x))
      manualSeed(3)
      XCTAssertEqual(CallRecord.values(try function(x)), seeded, name)
    }
  }

  func testTheGradientOfDropoutUsesTheMaskOfItsOwnCall() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) { (x: Tensor) in
        try x.exp().dropout(0.5, isTraining: true)
      }
      let x = try Tensor.zeros([64]).requiringGrad()
      let (first, second) = (try function(x), try function(x))
      for result in [first, second] {
        x.grad = nil
        try result.sum().backward()
        XCTAssertEqual(CallRecord.values(try XCTUnwrap(x.grad)), CallRecord.values(result), name)
      }
      XCTAssertNotEqual(CallRecord.values(first), CallRecord.values(second), name)
    }
  }
}
