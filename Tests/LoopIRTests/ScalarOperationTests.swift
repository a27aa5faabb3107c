import LoopIR
import TensorCore
import XCTest

/// Every operation on every dtype, against one-at-a-time evaluation.
final class ScalarOperationTests: XCTestCase {
  private let specials: [Double] = [
    0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 1.5, 2.5, 3, -3, 7, 100, -100, .infinity, -.infinity, .nan, 1e-3, 20, -20, 88,
    127,
    255, -128, 0.625, 0.7,
  ]

  private func values(_ dtype: DType, _ random: inout Random) -> [Double] {
    (dtype.isFloatingPoint ? specials : specials.filter { $0.isFinite }) + random.values(dtype, 30)
  }

  func testUnary() throws {
    var random = Random(1)
    // Those that give integers for integers; the others give float32.
    let exact: Set<UnaryOperation> = [
      .negate, .absolute, .sign, .floor, .ceil, .round, .truncate, .bitwiseNot,
    ]
    for dtype in DType.allCases {
      for operation in UnaryOperation.allCases {
        let input = Memory(dtype, values(dtype, &random))
        let output: DType =
          operation.givesFlags || (operation == .bitwiseNot && dtype == .bool)
          ? .bool : dtype.isFloatingPoint || exact.contains(operation) ? dtype : .float32
        if operation == .bitwiseNot, dtype.isFloatingPoint { continue }
        var builder = LoopBuilder()
        let a = dense(&builder, dtype, [input.count])
        let b = dense(&builder, output, [input.count])
        builder.pointwise([a], to: b) { .unary(operation, $0[0]) }
        try assertMatchesReference(builder.program, [input, Memory(output, input.count)], "\(operation) \(dtype)")
      }
    }
  }

  /// What is computed of an element does not depend on its neighbours, nor on what lies behind the last one.
  func testElementsAreIndependent() throws {
    let values: [Double] = (0..<11).map { [2, 1e9, 0.3, -.infinity][$0 % 4] }
    for operation in UnaryOperation.allCases where operation != .bitwiseNot {
      func results(_ values: [Double]) throws -> [Double] {
        let memory = [Memory(.float32, values), Memory(operation.givesFlags ? .bool : .float32, values.count)]
        var builder = LoopBuilder()
        let a = dense(&builder, .float32, [values.count])
        let b = dense(&builder, memory[1].dtype, [values.count])
        builder.pointwise([a], to: b) { .unary(operation, $0[0]) }
        try execute(builder.program, memory)
        return (0..<values.count).map { memory[1][$0].asDouble }
      }
      let together = try results(values)
      let alone = try values.map { try results([$0])[0] }
      XCTAssertTrue(zip(together, alone).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN }, "\(operation)")
    }
  }

  func testBinary() throws {
    var random = Random(2)
    let ofIntegers: Set<BinaryOperation> = [.bitwiseAnd, .bitwiseOr, .bitwiseXor, .shiftLeft, .shiftRight]
    let ofReals: Set<BinaryOperation> = [.atan2, .hypot, .copySign, .nextAfter, .polygamma]
    for dtype in DType.allCases {
      for operation in BinaryOperation.allCases {
        if (dtype.isFloatingPoint ? ofIntegers : ofReals).contains(operation) { continue }
        var values = values(dtype, &random)
        var others = Array(values.reversed())
        if [.floorDivide, .remainder].contains(operation), dtype.isFloatingPoint {
          // Where these are exact; quotients of other numbers round differently by design.
          values = (0..<60).map { Double($0 - 30) }
          others = (0..<60).map { [0.5, 2, -4, 8, -0.25][$0 % 5] }
        }
        if operation == .power {
          values = (0..<60).map { Double($0 % 12) / (dtype.isFloatingPoint ? 4 : 1) }
          others = (0..<60).map { Double($0 % 5) }
        }
        if operation == .polygamma {
          values = (0..<60).map { Double($0 % 5) }
          others = (0..<60).map { Double($0 * 7 % 60) / 4 - 2.6 }
        }
        let left = Memory(dtype, values)
        let right = Memory(dtype, others)
        let output: DType = operation.isComparison ? .bool : dtype
        var builder = LoopBuilder()
        let a = dense(&builder, dtype, [left.count])
        let b = dense(&builder, dtype, [left.count])
        let c = dense(&builder, output, [left.count])
        builder.pointwise([a, b], to: c) { .binary(operation, $0[0], $0[1]) }
        try assertMatchesReference(
          builder.program, [left, right, Memory(output, left.count)], "\(operation) \(dtype)")
      }
    }
  }

  func testIntegerDivisionNeverTraps() throws {
    let extremes: [Double] = [0, 1, -1, -2_147_483_648, 2_147_483_647]
    for operation in [BinaryOperation.divide, .floorDivide, .remainder] {
      for dtype in [DType.int32, .int64] {
        var builder = LoopBuilder()
        let a = dense(&builder, dtype, [25])
        let b = dense(&builder, dtype, [25])
        let c = dense(&builder, dtype, [25])
        builder.pointwise([a, b], to: c) { .binary(operation, $0[0], $0[1]) }
        let left = Memory(dtype, (0..<25).map { extremes[$0 / 5] })
        let right = Memory(dtype, (0..<25).map { extremes[$0 % 5] })
        try assertMatchesReference(builder.program, [left, right, Memory(dtype, 25)])
      }
    }
  }

  func testCastsBetweenAllTypes() throws {
    for from in DType.allCases {
      for to in DType.allCases {
        let input = Memory(from, specials + [1e10, -1e10, 300, 65504, 70000])
        var builder = LoopBuilder()
        let a = dense(&builder, from, [input.count])
        let b = dense(&builder, to, [input.count])
        builder.copy(a, to: b)
        try assertMatchesReference(builder.program, [input, Memory(to, input.count)], "\(from) to \(to)")
      }
    }
  }

  func testSelectAndConstants() throws {
    for dtype in DType.allCases {
      var builder = LoopBuilder()
      let a = dense(&builder, dtype, [27])
      let b = dense(&builder, dtype, [27])
      builder.pointwise([a], to: b) { select($0[0] .> 1, $0[0] + 1, 2) }
      let input = Memory(dtype, Array(specials.prefix(27)).map { $0.isFinite || dtype.isFloatingPoint ? $0 : 0 })
      try assertMatchesReference(builder.program, [input, Memory(dtype, 27)], "\(dtype)")
    }
  }

  func testConstantExponents() throws {
    var random = Random(3)
    for exponent in [2, 3, 0.5, -1, 1, 0, 1.7] {
      var builder = LoopBuilder()
      let a = dense(&builder, .float32, [64])
      let b = dense(&builder, .float32, [64])
      builder.pointwise([a], to: b) { .binary(.power, $0[0], .constant(.double(exponent))) }
      let input = Memory(.float32, random.values(.float32, 64).map(abs))
      try assertMatchesReference(builder.program, [input, Memory(.float32, 64)], "\(exponent)")
    }
  }

  func testOperationsOfOtherTypesAreRefused() {
    for (operation, dtype) in [(BinaryOperation.bitwiseAnd, DType.float32), (.shiftLeft, .float64), (.atan2, .int32)] {
      var builder = LoopBuilder()
      let a = dense(&builder, dtype, [4])
      builder.pointwise([a], to: a) { .binary(operation, $0[0], $0[0]) }
      XCTAssertThrowsError(try execute(builder.program, [Memory(dtype, 4)])) {
        XCTAssertEqual(($0 as? LoopError)?.code, .unsupported)
      }
    }
  }
}

/// A dense external.
func dense(_ builder: inout LoopBuilder, _ dtype: DType, _ sizes: [Int]) -> Operand {
  let layout = Layout(contiguous: [SymInt](sizes))
  let buffer = builder.external(dtype, elementCount: sizes.reduce(1, *))
  return Operand(buffer: buffer, dtype: dtype, sizes: sizes, strides: layout.strides.values)
}

extension UnaryOperation {
  fileprivate var givesFlags: Bool { self == .isNaN || self == .logicalNot }
}
