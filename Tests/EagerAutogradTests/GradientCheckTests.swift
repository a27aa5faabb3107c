import AOTAutogradTesting
import EagerAutograd
import Operators
import TensorCore
import XCTest

final class GradientCheckTests: XCTestCase {
  func testARightGradientPasses() throws {
    let x = try leaf([0.3, -0.8, 1.2, 0.4], [2, 2])
    let w = try leaf([0.9, 0.1], [2])
    for usesRandomDirection in [false, true] {
      var options = GradientCheckOptions()
      options.usesRandomDirection = usesRandomDirection
      try gradcheck([x, w], options) { [try ($0[0] * $0[1]).tanh(), try $0[0].sum([0])] }
      try gradgradcheck([x, w], options) { [try ($0[0] * $0[1]).tanh()] }
    }
    XCTAssertNil(x.grad)
  }

  private struct WrongSquare: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
      context.save(inputs[0])
      return [try inputs[0] * inputs[0]]
    }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      [try XCTUnwrap(gradients[0]) * context.savedTensors()[0]]
    }
  }

  func testAWrongGradientIsNamed() throws {
    let x = try leaf([0, 0, 0, 3], [2, 2])
    XCTAssertThrowsError(try gradcheck([x]) { [try WrongSquare()($0[0])] }) { error in
      let message = "\(error)"
      XCTAssertTrue(message.contains("WrongSquare"), message)
      XCTAssertTrue(message.contains("d output 0[1, 1] / d input 0[1, 1]"), message)
      XCTAssertTrue(message.contains("autograd gives 3.0"), message)
    }
    var options = GradientCheckOptions()
    options.usesRandomDirection = true
    XCTAssertThrowsError(try gradcheck([x], options) { [try WrongSquare()($0[0])] })
  }

  func testInputsThatCannotBeCheckedAreRefused() throws {
    XCTAssertThrowsError(try gradcheck([constant([1])]) { $0 })
    XCTAssertThrowsError(try gradcheck([Tensor([1, 2] as [Float]).requiringGrad()]) { $0 })
  }

  func testWritesInPlaceMatchFiniteDifferences() throws {
    let x = try leaf([0.3, -0.8, 1.2, 0.4, 0.6, -0.1], [2, 3])
    let w = try leaf([0.5, 0.7])
    let programs: [(String, ([Tensor]) throws -> [Tensor])] = [
      ("write to a result", { [try ($0[0] * 2).mul_($0[0]).tanh_()] }),
      (
        "write through a column",
        { arguments in
          let base = try arguments[0] * 1
          try base.select(1, 1).mul_(arguments[1])
          return [try base * base]
        }
      ),
      (
        "read a sibling",
        { arguments in
          let base = try arguments[0] * 1
          let left = try base.slice(1, from: 0, to: 2)
          let right = try base.slice(1, from: 1, to: 3)
          try left.mul_(3)
          try right.mul_(arguments[1].unsqueeze(1))
          return [try left.tanh(), try base.t()]
        }
      ),
      (
        "write through views of views",
        { arguments in
          let base = try arguments[0] * 1
          let view = try base.t().slice(0, from: 1).select(1, 0)
          try view.copy_(arguments[1])
          try view.tanh_()
          return [try base.sum([0])]
        }
      ),
      (
        "write to a base that required nothing",
        { arguments in
          let base = try Tensor.zeros([2, 3], dtype: .float64)
          try base.select(0, 0).copy_(arguments[0].select(0, 1))
          try base.select(0, 1).add_(arguments[0].select(0, 0)).mul_(base.select(0, 0).clone())
          return [try base * base]
        }
      ),
      (
        "overwrite all",
        { arguments in
          let base = try arguments[0] * 1
          try base.copy_(arguments[1].unsqueeze(1))
          return [try base * arguments[0]]
        }
      ),
    ]
    for (name, program) in programs {
      do {
        try gradcheck([x, w]) { try program($0) }
        try gradgradcheck([x, w]) { try program($0) }
      } catch { XCTFail("\(name): \(error)") }
    }
  }
}
