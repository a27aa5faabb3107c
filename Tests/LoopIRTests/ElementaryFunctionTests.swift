import Foundation
import LoopIR
import TensorCore
import XCTest

/// The error of float32 elementary functions over their whole range, in units in the last place.
final class ElementaryFunctionTests: XCTestCase {
  private func largestError(
    _ operation: UnaryOperation, _ values: [Float], _ exact: (Double) -> Double
  ) throws -> Double {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [values.count])
    let y = dense(&builder, .float32, [values.count])
    builder.pointwise([x], to: y) { .unary(operation, $0[0]) }
    let input = Memory(.float32, values.map(Double.init))
    let output = Memory(.float32, values.count)
    try execute(builder.program, [input, output])
    var largest = 0.0
    for (i, got) in output.values.enumerated() {
      let expected = exact(Double(values[i]))
      let rounded = Float(expected)
      if rounded.isNaN || rounded.isInfinite || rounded == 0 {
        XCTAssertEqual(Float(got).description, rounded.description, "\(operation)(\(values[i]))")
      } else {
        largest = max(largest, abs(got - expected) / Double(rounded.ulp))
      }
    }
    return largest
  }

  /// Numbers of every magnitude between two powers of two.
  private func sample(_ low: Float, _ high: Float, signed: Bool = true) -> [Float] {
    let (a, b) = (low.bitPattern, high.bitPattern)
    let step = max((b - a) / 20_000, 1)
    let positive = stride(from: a, through: b, by: Int(step)).map { Float(bitPattern: $0) }
    return (signed ? positive + positive.map(-) : positive) + [0, high]
  }

  func testErrors() throws {
    let cases: [(UnaryOperation, [Float], (Double) -> Double, Double)] = [
      (.exp, sample(1e-8, 87), { exp($0) }, 1.1),
      (.exp, sample(87, 200) + [.infinity, -.infinity, .nan], { exp($0) }, 1.1),
      (.expm1, sample(1e-30, 100) + [.infinity, -.infinity, .nan], { expm1($0) }, 2),
      (
        .log, sample(.leastNonzeroMagnitude, .greatestFiniteMagnitude, signed: false) + [-1, .infinity, .nan],
        { log($0) }, 1
      ),
      (.log, sample(0.5, 2, signed: false), { log($0) }, 1),
      (.log1p, sample(1e-30, 0.999) + sample(1, 1e38, signed: false) + [-1, -2, .infinity, .nan], { log1p($0) }, 2),
      (.tanh, sample(1e-30, 30) + [.infinity, -.infinity, .nan], { tanh($0) }, 2),
      (.erf, sample(1e-30, 10) + [.infinity, -.infinity, .nan], { erf($0) }, 1.5),
      (.sin, sample(1e-20, 20_000) + [.infinity, .nan], { sin($0) }, 2),
      (.cos, sample(1e-20, 20_000) + [.infinity, .nan], { cos($0) }, 2),
    ]
    for (operation, values, exact, bound) in cases {
      let error = try largestError(operation, values, exact)
      XCTAssertLessThanOrEqual(error, bound, "\(operation)")
    }
  }
}
