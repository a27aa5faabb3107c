import AOTAutograd
import XCTest

/// Functions with gradients of their own, inside a compiled one.
final class CompiledFunctionTests: XCTestCase {
  private typealias Forward = ([Tensor], FunctionContext) throws -> [Tensor]
  private typealias Backward = ([Tensor], FunctionContext) throws -> [Tensor?]

  /// A function that says with closures what it does. Missing gradients are zeros.
  private struct Custom: DifferentiableFunction {
    let forward: Forward
    let backward: Backward

    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] { try forward(inputs, context) }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      try backward(gradients.compactMap(\.self), context)
    }
  }

  /// The cube, whose backward says a quarter more than the truth: a gradient of the operators' own would be noticed.
  private let cube = Custom {
    $1.save($0[0])
    return [try $0[0] * $0[0] * $0[0]]
  } backward: {
    let x = try $1.savedTensors()[0]
    return [try $0[0] * x * x * 3.75]
  }

  private func arguments() throws -> CallArguments { [try wave([4], requiresGrad: true)] }

  func testASavedInputAndASavedOutput() throws {
    let cube = cube
    try assertCompiledAgrees(arguments) { [try cube($0[0])] }
    let exponential = Custom {
      let result = try $0[0].exp()
      $1.save(result)
      return [result]
    } backward: { [try $0[0] * $1.savedTensors()[0] * 2] }
    try assertCompiledAgrees(arguments) { [try exponential($0[0] * 2).sin()] }
  }

  func testTwoCallsHaveTheirOwnSavedTensors() throws {
    let cube = cube
    try assertCompiledAgrees(arguments) { [try cube(cube($0[0]) + $0[0])] }
  }

  func testSeveralOutputsOfWhichOneHasNoGradient() throws {
    let parts = Custom {
      let sign = try $0[0].sign()
      $1.markNotDifferentiable(sign)
      return [try $0[0] * $0[1], sign, try $0[0].gt(0), try $0[1].sin()]
    } backward: { gradients, _ in [try gradients[0] * 2, try gradients[gradients.count - 1] * 5] }
    try assertCompiledAgrees({ [try wave([4], requiresGrad: true), try wave([4], from: 1, requiresGrad: true)] }) {
      try parts.apply($0)
    }
  }

  func testAnInputReturnedAsItIs() throws {
    let reversal = Custom { inputs, _ in inputs } backward: { gradients, _ in [try gradients[0].neg()] }
    try assertCompiledAgrees(arguments) { [try reversal($0[0])] }
    try assertCompiledAgrees(arguments) { [try reversal($0[0].exp()) * 2] }
  }

  func testAnInputThatIsWrittenTo() throws {
    let doubling = Custom {
      try $0[0].mul_(2)
      $1.markDirty($0[0])
      return [$0[0]]
    } backward: { gradients, _ in [try gradients[0] * 7] }
    try assertCompiledAgrees(arguments) {
      let y = try $0[0].exp()
      return [try doubling(y), try y + 1]
    }
    try assertCompiledAgrees({
      let x = try wave([4], requiresGrad: true)
      return CallArguments([try x * 1], behind: [x])
    }) { [try doubling($0[0]) * 3] }
  }

  func testNoGradientForAnInput() throws {
    let half = Custom { inputs, _ in [try inputs[0] * inputs[1]] } backward: { gradients, _ in [gradients[0], nil] }
    try assertCompiledAgrees({ [try wave([4], requiresGrad: true), try wave([4], from: 1, requiresGrad: true)] }) {
      [try half.apply($0)[0]]
    }
  }

  func testWithoutRecordingTheFunctionJustRuns() throws {
    let cube = cube
    try assertCompiledAgrees(arguments) { x in [try noGrad { try cube(x[0]) }, try x[0] * 2] }
    try assertCompiledAgrees({ [try wave([4])] }) { [try cube($0[0])] }
  }

  func testBackwardThatWritesToASavedTensor() throws {
    let counting = Custom {
      $1.save($0[1])
      return [try $0[0] * 1]
    } backward: {
      let buffer = try $1.savedTensors()[0]
      try buffer.add_($0[0])
      return [try $0[0] * 2, nil]
    }
    func run(_ function: (Tensor, Tensor) throws -> Tensor) throws -> [[Double]] {
      let (x, buffer) = (try wave([4], requiresGrad: true), try Tensor.zeros([4]))
      for _ in 0..<2 { try function(x, buffer).sum().backward() }
      return [CallRecord.values(try XCTUnwrap(x.grad)), CallRecord.values(buffer)]
    }
    let body = { (x: Tensor, buffer: Tensor) in try counting.apply([x, buffer])[0] }
    let eager = try run(body)
    XCTAssertEqual(eager[1], [2, 2, 2, 2])
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      XCTAssertEqual(try run { try function($0, $1) }, eager, name)
    }
  }

  func testWrongGradientsAreNamed() throws {
    let (short, few) = (
      Custom { inputs, _ in [try inputs[0] * 2] } backward: { gradients, _ in [try gradients[0][0..<3]] },
      Custom { inputs, _ in [try inputs[0] * 2] } backward: { _, _ in [] }
    )
    for (name, configuration) in comparedConfigurations {
      for function in [short, few] {
        let x = try wave([4], requiresGrad: true)
        XCTAssertThrowsError(try aotFunction(configuration: configuration) { try function($0) }(x).sum().backward()) {
          XCTAssertEqual(($0 as? AutogradError)?.code, .invalidGradient, "\(name): \($0)")
          XCTAssertTrue("\($0)".contains("Custom"), "\(name): \($0)")
        }
      }
    }
  }
}
