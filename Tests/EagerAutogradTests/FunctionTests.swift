import EagerAutograd
import Operators
import TensorCore
import XCTest

final class FunctionTests: XCTestCase {
  private struct Cube: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
      XCTAssertFalse(isGradEnabled)
      context.save(inputs[0])
      return [try inputs[0] * inputs[0] * inputs[0]]
    }

    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      let x = try context.savedTensors()[0]
      return [try XCTUnwrap(gradients[0]) * x * x * 3]
    }
  }

  func testAFunctionOfOnesOwn() throws {
    let x = try leaf([2, 3])
    let y = try Cube()(x)
    XCTAssertEqual(try y.gradientFunction?.name, "Cube")
    try y.sum().backward()
    try assertEqual(x.grad.values, [12, 27])
    assertThrows(.backwardTwice) { try y.sum().backward() }
    XCTAssertFalse(try Cube()(constant([2])).requiresGrad)
  }

  func testItCanBeDifferentiatedTwice() throws {
    let x = try leaf([2])
    let first = try grad(of: Cube()(x), with: x, createGraph: true)
    let second = try grad(of: first, with: x, createGraph: true)
    let third = try grad(of: second, with: x)
    try assertEqual([first, second, third].flatMap { try $0.values }, [12, 12, 6])
  }

  func testASavedInputThatWasOverwrittenIsRefused() throws {
    let x = try leaf([2])
    let y = try x * 1
    let z = try Cube()(y)
    try y.add_(1)
    assertThrows(.modifiedInPlace) { try z.backward() }
  }

  private struct Exponential: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
      let result = try inputs[0].exp()
      context.save(result)
      return [result]
    }

    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      [try XCTUnwrap(gradients[0]) * context.savedTensors()[0]]
    }
  }

  func testASavedOutputServesHigherDerivativesAndIsNotKeptForEver() throws {
    let x = try leaf([0.5])
    let first = try grad(of: Exponential()(x), with: x, createGraph: true)
    try assertEqual(grad(of: first, with: x).values, [exp(0.5)])
    weak var function: GradientFunction?
    do {
      let y = try Exponential()(x)
      function = try y.gradientFunction
      XCTAssertNotNil(function)
    }
    XCTAssertNil(function)
  }

  private struct Parts: DifferentiableFunction {
    let materializes: Bool

    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
      context.materializesGradients = materializes
      let sign = try inputs[0].sign()
      context.markNotDifferentiable(sign)
      XCTAssertEqual(context.needsInputGradient, [true, false])
      return [try inputs[0] * 2, try inputs[0] * 3, sign, try inputs[0].gt(0)]
    }

    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      XCTAssertEqual(gradients[1] == nil, !materializes)
      var result = try XCTUnwrap(gradients[0]) * 2
      if let other = gradients[1] { result = try result + other * 3 }
      return [result, nil]
    }
  }

  func testOutputsWithoutGradients() throws {
    for materializes in [true, false] {
      let x = try leaf([1, -1])
      let outputs = try Parts(materializes: materializes).apply([x, constant([1])])
      XCTAssertEqual(outputs.map(\.requiresGrad), [true, true, false, false])
      try outputs[0].sum().backward()
      try assertEqual(x.grad.values, [2, 2])
    }
  }

  private struct Pass: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] { inputs }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      try gradients.map { try $0.map { try -$0 } }
    }
  }

  func testAReturnedInputBecomesATensorOfItsOwn() throws {
    let x = try leaf([1, 2])
    let y = try Pass()(x)
    XCTAssertFalse(y === x)
    XCTAssertTrue(y.storage === x.storage)
    XCTAssertTrue(x.isLeaf)
    try y.sum().backward()
    try assertEqual(x.grad.values, [-1, -1])
    let z = try x * 1
    assertThrows(.viewInPlace) { try Pass()(z).add_(1) }
  }

  private struct Doubling: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
      try inputs[0].mul_(2)
      context.markDirty(inputs[0])
      return inputs
    }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      [try XCTUnwrap(gradients[0]) * 2]
    }
  }

  func testAWrittenInputIsRebased() throws {
    let x = try leaf([1, 2])
    let y = try x * 1
    XCTAssertTrue(try Doubling()(y) === y)
    try (y * y).sum().backward()
    try assertEqual(x.grad.values, [8, 16])
    let base = try x * 1
    _ = try Doubling()(base.select(0, 0))
    x.grad = nil
    try (base * base).sum().backward()
    try assertEqual(x.grad.values, [8, 4])
    assertThrows(.leafInPlace) { try Doubling()(leaf([1])) }
  }

  private struct Miscount: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] { [try inputs[0] + inputs[1]] }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] { gradients }
  }

  private struct Misshape: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] { [try inputs[0].sum()] }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] { gradients }
  }

  func testWrongGradientsAreNamed() throws {
    let x = try leaf([1, 2, 3])
    var message = assertThrows(.invalidGradient) { try Miscount()(x, x).sum().backward() }
    XCTAssertTrue(message.contains("Miscount") && message.contains("1 gradients"), message)
    message = assertThrows(.invalidGradient) { try Misshape()(x).backward() }
    XCTAssertTrue(message.contains("Misshape") && message.contains("[3]"), message)
  }

  func testSeveralInputsAndOutputs() throws {
    let x = try leaf([2])
    let outputs = try Pass().apply([x, x * 3])
    try (outputs[0] * outputs[1]).backward()
    // The gradients 3x of x and x of 3x, each turned around.
    try assertEqual(x.grad.values, [-12])
  }
}
