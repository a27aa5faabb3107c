import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Operators that exported models are made of, with the values that PyTorch gives.
final class ImportedOperatorTests: XCTestCase {
  private func assertEqual(
    _ tensor: Tensor, _ expected: [Float], accuracy: Float = 1e-4, line: UInt = #line
  ) throws {
    let elements = try tensor.elements(as: Float.self)
    XCTAssertEqual(elements.count, expected.count, line: line)
    for (got, wanted) in zip(elements, expected) { XCTAssertEqual(got, wanted, accuracy: accuracy, line: line) }
  }

  private func call(_ name: String, _ arguments: Value...) throws -> Tensor {
    try OperatorLibrary.named("aten.\(name)")(arguments)
  }

  private let v = [1, 2, 3, -4] as [Float]

  func testWeightNorm() throws {
    let direction = try Tensor(v, shape: [2, 2])
    let length = try Tensor([2, 0.5] as [Float], shape: [2, 1])
    try assertEqual(
      call("_weight_norm.default", .reference(direction), .reference(length)), [0.8944, 1.7889, 0.3, -0.4])
    try assertEqual(call("norm_except_dim.default", .reference(direction), .int(2), .int(1)), [3.1623, 4.4721])
    try assertEqual(call("norm_except_dim.default", .reference(direction), .int(2), .int(-1)), [5.4772])
  }

  func testMultiMarginLoss() throws {
    let input = try Tensor([0.1, 0.2, 0.9, 1, -1, 0.5] as [Float], shape: [2, 3])
    let target = try Tensor([2, 1])
    let weight = try Tensor([1, 2, 3] as [Float])
    let name = "multi_margin_loss.default"
    try assertEqual(call(name, .reference(input), .reference(target)), [1])
    try assertEqual(
      call(
        name, .reference(input), .reference(target), .int(2), .double(0.5), .reference(weight), .int(0)), [0, 6.8333])
    XCTAssertThrowsError(try call(name, .reference(input), .reference(input)))
    XCTAssertThrowsError(try call(name, .reference(input), .reference(target), .int(3)))
  }

  func testAffineGrid() throws {
    let maps = try Tensor([1, 0.5, 0, 0, 2, -1] as [Float], shape: [1, 2, 3])
    let size = Value([1, 1, 2, 3])
    try assertEqual(
      call("affine_grid_generator.default", .reference(maps), size, .bool(true)),
      [-1.5, -3, -0.5, -3, 0.5, -3, -0.5, 1, 0.5, 1, 1.5, 1])
    try assertEqual(
      call("affine_grid_generator.default", .reference(maps), size, .bool(false)),
      [-0.9167, -2, -0.25, -2, 0.4167, -2, -0.4167, 0, 0.25, 0, 0.9167, 0])
    XCTAssertThrowsError(try call("affine_grid_generator.default", .reference(maps), Value([2, 1, 2, 3]), .bool(true)))
  }

  func testRenormalizedRowsAreThoseNamed() throws {
    let weight = try Tensor([3, 4, 0.3, 0.4, 6, 8] as [Float], shape: [3, 2])
    let result = try call(
      "embedding_renorm_.default", .reference(weight), .reference(try Tensor([0, 1])), .double(1), .double(2))
    XCTAssertTrue(result === weight)
    try assertEqual(weight, [0.6, 0.8, 0.3, 0.4, 6, 8])
  }

  func testUnpoolingPutsElementsBack() throws {
    let pooled = try Tensor([5, 6] as [Float], shape: [1, 1, 2])
    let places = try Tensor([3, 0], shape: [1, 1, 2])
    let result = try call("max_unpool2d.default", .reference(pooled), .reference(places), Value([2, 2]))
    XCTAssertEqual(result.shape, [1, 2, 2])
    try assertEqual(result, [6, 0, 0, 5])
  }

  func testShorthands() throws {
    let x = try Tensor(v, shape: [2, 2])
    let reference = Value.reference(x)
    try assertEqual(call("mT.default", reference), [1, 3, 2, -4])
    try assertEqual(call("fliplr.default", reference), [2, 1, -4, 3])
    try assertEqual(call("flipud.default", reference), [3, -4, 1, 2])
    try assertEqual(call("msort.default", reference), [1, -4, 3, 2])
    try assertEqual(call("linalg_norm.default", reference), [5.4772])
    try assertEqual(call("linalg_norm.default", reference, .int(1), Value([1])), [3, 7])
    try assertEqual(call("linalg_vecdot.default", reference, reference), [5, 25])
    try assertEqual(call("frobenius_norm.dim", reference, Value([0, 1])), [5.4772])
    try assertEqual(call("ldexp.Tensor", reference, reference), [2, 8, 24, -0.25])
    XCTAssertEqual(try call("float_power.Tensor_Scalar", reference, .int(2)).elements(), [1, 4, 9, 16] as [Double])
    XCTAssertEqual(try call("atleast_3d.default", reference).shape, [2, 2, 1])
    XCTAssertTrue(try call("real.default", reference) === x)
    XCTAssertThrowsError(try call("linalg_norm.default", reference, .int(1)))
    XCTAssertThrowsError(try call("mT.default", .reference(try Tensor([1]))))
  }

  func testSecondNamesAreTheOperators() throws {
    let (x, y) = (try Tensor(v), try Tensor([2, 2, 2, 2] as [Float]))
    for (name, expected) in [
      ("min.other", [1, 2, 2, -4]), ("max.other", [2, 2, 3, 2]), ("multiply.Tensor", [2, 4, 6, -8]),
      ("true_divide.Tensor", [0.5, 1, 1.5, -2]), ("subtract.Tensor", [-1, 0, 1, -6]),
    ] as [(String, [Float])] {
      try assertEqual(call(name, .reference(x), .reference(y)), expected)
    }
    XCTAssertTrue(try call("clip_.default", .reference(x), .int(-1), .int(2)) === x)
    try assertEqual(x, [1, 2, 2, -1])
    try assertEqual(call("negative.default", .reference(x)), [-1, -2, -2, 1])
    try assertEqual(call("div.out", .reference(x), .reference(y), .reference(y)), [0.5, 1, 1, -0.5])
  }

  func testEveryAliasNamesAnOperator() throws {
    let one = try Tensor([0.5] as [Float], shape: [1, 1])
    for definition in OperatorLibrary.aliases {
      let arguments = try definition.schema.parameters.map { parameter -> Value in
        switch parameter.type {
        case .tensor, .optional(.tensor): .reference(try one.clone())
        case .list(.tensor, _): .list([.reference(one)])
        case .scalar, .float, .optional(.scalar): .double(0.5)
        case .optional: .none
        default: parameter.defaultValue?.widened() ?? .int(0)
        }
      }
      XCTAssertNoThrow(try definition.call(arguments), "\(definition.name)")
    }
  }

  func testScalarAssertions() throws {
    XCTAssertNoThrow(try OperatorLibrary.assertScalar.call([.bool(true), .string("fine")]))
    XCTAssertThrowsError(try OperatorLibrary.assertScalar.call([.int(0), .string("not fine")])) {
      XCTAssertTrue("\($0)".contains("not fine"), "\($0)")
    }
    XCTAssertNoThrow(try OperatorLibrary.constrainRange.call([.int(-3), .int(-4), .none]))
    XCTAssertThrowsError(try OperatorLibrary.constrainRange.call([.int(5), .none, .int(4)]))
    XCTAssertThrowsError(try OperatorLibrary.constrainSize.call([.int(-1), .none, .none]))
  }
}
