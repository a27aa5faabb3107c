import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// How gradients are compared with finite differences.
public struct GradientCheckOptions: Sendable {
  /// How far an element is moved, up and down.
  public var step = 1e-6
  public var absoluteTolerance = 1e-5
  public var relativeTolerance = 1e-3
  /// Compares the change along one random direction instead of every element's: far fewer calls for large tensors.
  public var usesRandomDirection = false
  /// Seeds random directions and, for second derivatives, random output gradients.
  public var seed: UInt64 = 0

  public init() {}
}

/// Checks a function's gradients against central differences.
///
/// ```swift
/// try gradcheck([x, w]) { [try $0[0].matmul($0[1]).tanh()] }
/// ```
///
/// - Parameters:
///   - inputs: Those that require gradients are checked; they must be float64. The function gets copies, so it may write
///     to what it computes from them.
///   - function: Differentiable where the inputs stand; outputs that are not float64 or require no gradient are left out.
/// - Throws: `GradientCheckError` naming the operator, the element, and both values; what the function throws.
public func gradcheck(
  _ inputs: [Tensor], _ options: GradientCheckOptions = .init(), _ function: ([Tensor]) throws -> [Tensor]
) throws {
  try withoutActuallyEscaping(function) { function in
    let check = try GradientCheck(inputs, options, function)
    if options.usesRandomDirection { try check.compareDirection() } else { try check.compareElements() }
  }
}

/// Checks the gradients of a function's gradients against central differences; see `gradcheck`.
public func gradgradcheck(
  _ inputs: [Tensor], _ options: GradientCheckOptions = .init(), _ function: ([Tensor]) throws -> [Tensor]
) throws {
  try withoutActuallyEscaping(function) { function in
    let check = try GradientCheck(inputs, options, function)
    var noise = Noise(seed: options.seed &+ 1)
    let gradients = try check.evaluate().outputs.map { try noise.tensor(like: $0).requiringGrad() }
    try gradcheck(inputs + gradients, options) { arguments in
      let inputs = Array(arguments.prefix(inputs.count))
      let outputs = try function(inputs).filter(\.isChecked)
      let wanted = inputs.filter(\.isChecked)
      if outputs.isEmpty { return [] }
      return try grad(
        of: outputs, with: wanted, gradients: Array(arguments.dropFirst(inputs.count)), createGraph: true,
        allowUnused: true
      ).compactMap(\.self)
    }
  }
}

/// A gradient that finite differences do not confirm, or inputs that cannot be checked.
public struct GradientCheckError: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String

  init(_ description: String) { self.description = description }
}

private struct GradientCheck {
  private let inputs: [Tensor]
  private let checked: [Int]
  private let options: GradientCheckOptions
  private let function: ([Tensor]) throws -> [Tensor]

  init(
    _ inputs: [Tensor], _ options: GradientCheckOptions, _ function: @escaping ([Tensor]) throws -> [Tensor]
  ) throws {
    for (index, input) in inputs.enumerated() where input.requiresGrad {
      guard input.dtype == .float64 else {
        throw GradientCheckError("input \(index) is \(input.dtype): finite differences need float64")
      }
      guard !input.layout.mayOverlapItself else {
        throw GradientCheckError("several elements of input \(index) share one place in memory; clone it first")
      }
    }
    self.inputs = inputs
    self.checked = inputs.indices.filter { inputs[$0].requiresGrad }
    self.options = options
    self.function = function
    guard !checked.isEmpty else { throw GradientCheckError("no input requires a gradient: there is nothing to check") }
  }

  /// Calls the function on copies of the inputs, some elements moved.
  func evaluate(_ move: (_ input: Int, _ copy: Tensor) throws -> Void = { _, _ in }) throws -> (
    inputs: [Tensor], outputs: [Tensor]
  ) {
    let copies = try inputs.enumerated().map { index, input in
      let copy = try noGrad { try input.copiedWithMemory() }
      try move(index, copy)
      return input.requiresGrad ? try copy.requiringGrad() : copy
    }
    return (checked.map { copies[$0] }, try function(copies).filter(\.isChecked))
  }

  func compareElements() throws {
    let (leaves, outputs) = try evaluate()
    let names = try outputs.map { try $0.gradientFunction?.name ?? "the input" }
    let sizes = outputs.map(\.elementCount)
    // Per output and element of it, the gradients of all inputs.
    let analytic = try outputs.map { output in
      try (0..<output.elementCount).map { element in
        let unit = try Tensor(
          (0..<output.elementCount).map { $0 == element ? 1.0 : 0.0 }, shape: output.shape)
        return try gradients(of: [output], leaves, [unit])
      }
    }
    for (position, input) in checked.enumerated() {
      for element in 0..<inputs[input].elementCount {
        let numeric = try differences { index, copy, distance in
          if index == input { copy.move(element: element, by: distance) }
        }
        guard numeric.map(\.count) == sizes else {
          throw GradientCheckError("the function gives outputs of other shapes when an input moves a little")
        }
        for output in outputs.indices {
          for (place, expected) in numeric[output].enumerated()
          where !agrees(analytic[output][place][position][element], expected) {
            throw GradientCheckError(
              """
              d output \(output)\(index(place, outputs[output])) / d input \(input)\(index(element, inputs[input])), \
              output given by \(names[output]): finite differences give \(expected), \
              autograd gives \(analytic[output][place][position][element])
              """)
          }
        }
      }
    }
  }

  func compareDirection() throws {
    var noise = Noise(seed: options.seed)
    let (leaves, outputs) = try evaluate()
    let directions = inputs.map { noise.values($0.elementCount) }
    let weights = try outputs.map { try noise.tensor(like: $0) }
    let gradients = try gradients(of: outputs, leaves, weights)
    let analytic = zip(checked, gradients).reduce(0) { $0 + dot(directions[$1.0], $1.1) }
    let numeric = zip(
      try differences { index, copy, distance in
        if inputs[index].requiresGrad { copy.move(along: directions[index], by: distance) }
      }, weights)
    let expected = try numeric.reduce(0) { try $0 + dot($1.0, $1.1.elements(as: Double.self)) }
    guard agrees(analytic, expected) else {
      let names = try outputs.map { try $0.gradientFunction?.name ?? "an input" }.joined(separator: ", ")
      throw GradientCheckError(
        """
        along a random direction, outputs given by \(names): finite differences give \(expected), autograd gives \
        \(analytic)
        """)
    }
  }

  /// The gradients with respect to the checked inputs; zeros where there is none.
  private func gradients(of outputs: [Tensor], _ leaves: [Tensor], _ weights: [Tensor]) throws -> [[Double]] {
    let gradients: [Tensor?] =
      outputs.isEmpty
      ? leaves.map { _ in nil }
      : try grad(of: outputs, with: leaves, gradients: weights, retainGraph: true, allowUnused: true)
    return try zip(gradients, leaves).map { gradient, leaf in
      try gradient?.elements(as: Double.self) ?? Array(repeating: 0, count: leaf.elementCount)
    }
  }

  /// How the outputs change per unit of distance.
  private func differences(
    _ move: (_ input: Int, _ copy: Tensor, _ distance: Double) -> Void
  ) throws -> [[Double]] {
    let above = try evaluate { move($0, $1, options.step) }.outputs
    let below = try evaluate { move($0, $1, -options.step) }.outputs
    return try zip(above, below).map { above, below in
      try zip(above.elements(as: Double.self), below.elements(as: Double.self)).map { ($0 - $1) / (2 * options.step) }
    }
  }

  private func agrees(_ analytic: Double, _ numeric: Double) -> Bool {
    abs(analytic - numeric) <= options.absoluteTolerance + options.relativeTolerance * abs(numeric)
  }

  private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

  /// The index of the element that comes at that place in row-major order.
  private func index(_ place: Int, _ tensor: Tensor) -> String {
    var rest = place
    var index: [Int] = []
    for size in tensor.shape.reversed() {
      index.insert(rest % size, at: 0)
      rest /= size
    }
    return "\(index)"
  }
}

/// Random numbers in -1..<1.
private struct Noise {
  private let generator: Philox
  private var counter: UInt64 = 0

  init(seed: UInt64) { generator = Philox(key: seed) }

  mutating func values(_ count: Int) -> [Double] {
    (0..<count).map { _ in
      counter += 1
      return Double(generator.block(counter)[0]) / 0x1p31 - 1
    }
  }

  mutating func tensor(like other: Tensor) throws -> Tensor {
    try Tensor(values(other.elementCount), shape: other.shape)
  }
}

extension Tensor {
  fileprivate var isChecked: Bool { dtype == .float64 && requiresGrad }

  fileprivate func move(element: Int, by distance: Double) {
    var place = 0
    forEachElement {
      if place == element { $0 += distance }
      place += 1
    }
  }

  fileprivate func move(along direction: [Double], by distance: Double) {
    var place = 0
    forEachElement {
      $0 += direction[place] * distance
      place += 1
    }
  }

  private func forEachElement(_ body: (inout Double) -> Void) {
    guard let elements = storage.baseAddress?.assumingMemoryBound(to: Double.self) else { return }
    layout.forEachElementIndex { body(&elements[$0]) }
  }
}
