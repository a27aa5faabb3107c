import Foundation

// Functions that the C library lacks, one float64 at a time, and those of its functions that need care.

/// 1 / (1 + e⁻ˣ), where e⁻ˣ may overflow too.
func logistic(_ x: Double) -> Double {
  let decay = Foundation.exp(-abs(x))
  return (x < 0 ? decay : 1) / (1 + decay)
}

/// Φ(x), the standard normal distribution function.
func normalDistribution(_ x: Double) -> Double { 0.5 * Foundation.erfc(x * -0.5.squareRoot()) }

/// ln |Γ(x)|
func logGamma(_ x: Double) -> Double {
  // Plain `lgamma` writes the sign of Γ to a global variable.
  var sign: Int32 = 0
  return lgamma_r(x, &sign)
}

/// The number whose error function is `y`: Newton's steps from an estimate.
func inverseErrorFunction(_ y: Double) -> Double {
  guard abs(y) < 1 else { return abs(y) == 1 ? y * .infinity : .nan }
  if y == 0 { return y }
  // S. Winitzki's estimate, good to 1/500 everywhere.
  let magnitude = abs(y)
  let decay = Foundation.log1p(-magnitude * magnitude)
  let half = 4.330_746_750_799_873 + 0.5 * decay
  var x = (Foundation.sqrt(half * half - decay * 6.802_721_088_435_374) - half).squareRoot()
  for _ in 0..<3 {
    // The complements, where they are the smaller numbers: no digits are lost.
    let error =
      magnitude < 0.5 ? Foundation.erf(x) - magnitude : (1 - magnitude) - Foundation.erfc(x)
    let step = error / (2 / Double.pi.squareRoot() * Foundation.exp(-x * x))
    // Halley's correction for the curvature.
    x -= step / (1 + x * step)
  }
  return Double(signOf: y, magnitudeOf: x)
}

/// ψ(x), the logarithmic derivative of Γ.
func digamma(_ x: Double) -> Double {
  if x == 0 { return -Double(signOf: x, magnitudeOf: .infinity) }
  if x == -.infinity { return .nan }
  if x < 0 { return digamma(1 - x) - .pi * cotangentDerivative(0, x) }
  // ψ(x) = ψ(x + 1) - 1 / x, up to where the asymptotic series has all digits.
  var (argument, sum) = (x, 0.0)
  while argument < 10 {
    sum -= 1 / argument
    argument += 1
  }
  return sum + (Foundation.log(argument) - 0.5 / argument - asymptoticTail(argument) { Foundation.tgamma($0) })
}

/// The derivative of ψ of an order, which is a whole number.
func polygamma(order: Double, _ x: Double) -> Double {
  guard order > 0 else { return order == 0 ? digamma(x) : .nan }
  let isEven = order.remainder(dividingBy: 2) == 0
  if x == 0 { return isEven ? -.infinity : .infinity }
  // The factorial is the largest factor by far.
  if x.isNaN || order > 170 { return x.isNaN ? x : isEven ? -.infinity : .infinity }
  if x < 0 {
    let mirrored = polygamma(order: order, 1 - x)
    return (isEven ? mirrored : -mirrored) - .pi * cotangentDerivative(Int(order), x)
  }
  // A sum over x, x + 1, …, whose rest from where the asymptotic series has all digits that gives.
  var (argument, sum) = (x, 0.0)
  while argument < 10 + order {
    sum += Foundation.pow(argument, -order - 1)
    argument += 1
  }
  var rising = 1.0
  let tail = asymptoticTail(argument) { power in
    // The factorial of order + power - 1 over that of order - 1.
    for factor in [power - 2, power - 1] { rising *= order + factor }
    return rising
  }
  sum += Foundation.pow(argument, -order) / order * (1 + 0.5 * order / argument + tail)
  return (isEven ? -1 : 1) * Foundation.tgamma(order + 1) * sum
}

/// The sum of B₂ₖ / (2k)! · factor(2k) / x²ᵏ for large x; factors are asked for in order.
private func asymptoticTail(_ x: Double, _ factor: (Double) -> Double) -> Double {
  var (sum, power) = (0.0, 2.0)
  for number in bernoulliNumbers {
    sum += number * factor(power) / Foundation.pow(x, power)
    power += 2
  }
  return sum
}

/// B₂, B₄, …, each over the factorial of its index.
private let bernoulliNumbers: [Double] = [
  1 / 12, -1 / 720, 1 / 30_240, -1 / 1_209_600, 1 / 47_900_160, -691 / 1_307_674_368_000, 1 / 74_724_249_600,
  -3617 / 10_670_622_842_880_000,
]

/// The derivative of cot πx of an order; NaN at its poles.
private func cotangentDerivative(_ order: Int, _ x: Double) -> Double {
  let fraction = x - x.rounded()
  if fraction == 0 || x.isInfinite { return .nan }
  // Derivatives of the cotangent c are polynomials in it, since c' = -π (1 + c²).
  var coefficients: [Double] = [0, 1]
  for _ in 0..<order {
    var derivative = [Double](repeating: 0, count: coefficients.count + 1)
    for (power, coefficient) in coefficients.enumerated().dropFirst() {
      derivative[power - 1] -= .pi * Double(power) * coefficient
      derivative[power + 1] -= .pi * Double(power) * coefficient
    }
    coefficients = derivative
  }
  let cotangent = 1 / Foundation.tan(.pi * fraction)
  return coefficients.reversed().reduce(0) { $0 * cotangent + $1 }
}
