import AOTAutogradTesting
import TensorCore

/// Something about a replayed call that is not as recorded.
public struct Mismatch: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was compared, as `result 1` or `gradient of input 0`.
  public var subject: String
  public let expected: String
  public let got: String

  init(_ subject: String, expected: String, got: String) {
    self.subject = subject
    self.expected = expected
    self.got = got
  }

  public var description: String { "\(subject): expected \(expected), got \(got)" }
}

/// `|got - expected| <= absolute + relative · |expected|`
struct Tolerance {
  let relative: Double
  let absolute: Double

  init(relative: Double, absolute: Double) {
    self.relative = relative
    self.absolute = absolute
  }

  /// The recorded tolerance or, without one, that of the type.
  init(_ elements: RecordedElements, isExact: Bool) {
    if let recorded = elements.tolerance, recorded.count == 2 {
      (relative, absolute) = (recorded[0], recorded[1])
    } else if isExact {
      (relative, absolute) = (0, 0)
    } else {
      switch elements.dtype {
      case .float32: (relative, absolute) = (4e-6, 1e-6)
      case .float64: (relative, absolute) = (1e-9, 1e-11)
      case .float16: (relative, absolute) = (2e-3, 1e-4)
      case .bfloat16: (relative, absolute) = (1.6e-2, 1e-3)
      default: (relative, absolute) = (0, 0)
      }
    }
  }

  /// NaN equals NaN; infinities match in sign; the sign of zero does not count.
  func accepts(_ got: Double, _ expected: Double) -> Bool {
    if got.isNaN || expected.isNaN { return got.isNaN && expected.isNaN }
    if got == expected { return true }
    if got.isInfinite || expected.isInfinite { return false }
    return abs(got - expected) <= absolute + relative * abs(expected)
  }
}

extension Tensor {
  /// - Throws: `Mismatch` naming the first element that is not as expected.
  func compare(with expected: Tensor, _ tolerance: Tolerance, _ subject: @autoclosure () -> String) throws {
    if dtype.isFloatingPoint {
      let (got, wanted) = (try doubles(), try expected.doubles())
      for place in got.indices where !tolerance.accepts(got[place], wanted[place]) {
        throw Mismatch(
          "\(subject()), element \(place)",
          expected: "\(wanted[place]) ± (\(tolerance.absolute) + \(tolerance.relative) · |expected|)",
          got: "\(got[place])")
      }
    } else {
      let (got, wanted) = (try integers(), try expected.integers())
      for place in got.indices where got[place] != wanted[place] {
        throw Mismatch("\(subject()), element \(place)", expected: "\(wanted[place])", got: "\(got[place])")
      }
    }
  }
}
