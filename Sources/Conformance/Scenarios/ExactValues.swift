import AOTAutogradTesting
import TensorCore

/// What a scenario gives in double precision, by what is compared: the judge where rounding decides.
///
/// Some recorded functions are so ill-conditioned that two right results in single precision differ by more than the
/// format's tolerance; so does then the recorded one from the exact one. A result is as good as the recorded one if it is no
/// further from the exact one than a few times what that is.
final class ExactValues {
  private var values: [String: [Double]] = [:]

  func record(_ tensor: Tensor, as subject: String) throws { values[subject] = try tensor.doubles() }

  /// Whether a result is as close to the exact one as the recorded one is.
  func accepts(_ tensor: Tensor, recorded: TensorLiteral, _ tolerance: Tolerance, as subject: String) throws -> Bool {
    guard let exact = values[subject], exact.count == recorded.elements.count else { return false }
    let worst = zip(recorded.elements, exact).map { abs($0 - $1) }.max() ?? 0
    guard worst.isFinite else { return false }
    return try zip(tensor.doubles(), exact).allSatisfy { got, exact in
      tolerance.accepts(got, exact) || abs(got - exact) <= 4 * worst
    }
  }
}
