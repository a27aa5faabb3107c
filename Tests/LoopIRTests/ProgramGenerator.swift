import LoopIR
import TensorCore

/// Random programs of the kinds that lowerings write, over small shapes.
struct ProgramGenerator {
  private var random: Random
  private var builder = LoopBuilder()
  private var values: [Operand] = []
  private var externals: [Operand] = []

  init(seed: UInt64) { random = Random(seed &+ 1000) }

  mutating func program() -> LoopBuilder {
    for shape in [[3, 4], [4], [2, 3, 4], [3, 1], [12]] {
      let operand = dense(&builder, .float32, shape)
      values.append(operand)
      externals.append(operand)
    }
    for _ in 0..<pick(2...14) { step() }
    // What is left is observed.
    for value in values.suffix(2) where value.elementCount > 0 {
      let output = dense(&builder, .float32, value.sizes)
      builder.copy(value, to: output)
    }
    return builder
  }

  private mutating func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  private mutating func any() -> Operand { values[pick(0...values.count - 1)] }

  private mutating func target(_ sizes: [Int]) -> Operand {
    // Sometimes an output of its own, so that stores must be kept.
    pick(0...4) == 0 ? dense(&builder, .float32, sizes) : builder.temporary(.float32, sizes)
  }

  private mutating func step() {
    switch pick(0...10) {
    case 0, 1, 2: pointwise()
    case 3, 4: reduction()
    case 5: view()
    case 6: softmax()
    case 7: product()
    case 8: inPlace()
    case 9: collision()
    default: concatenation()
    }
  }

  private mutating func expression(_ x: [ScalarExpression]) -> ScalarExpression {
    var value = x[0]
    for other in x.dropFirst() {
      switch pick(0...3) {
      case 0: value = value + other
      case 1: value = tanh(value) * other
      case 2: value = select(value .< other, value, other * 0.5)
      default: value = value - other
      }
    }
    switch pick(0...4) {
    case 0: return tanh(value)
    case 1: return value * 0.5
    case 2: return exp(tanh(value))
    case 3: return value + .cast(.float32, .constant(.int(1)))
    default: return value
    }
  }

  private mutating func pointwise() {
    let first = any()
    var inputs = [first]
    for _ in 0..<pick(0...2) {
      let other = any()
      if fits(other, first.sizes) { inputs.append(other) }
    }
    let output = target(first.sizes)
    let usesCoordinate = pick(0...5) == 0 && !first.sizes.isEmpty
    let values = (0..<inputs.count).map { ScalarExpression.load($0) }
    var body = expression(values)
    if usesCoordinate { body = body + .cast(.float32, .coordinate(pick(0...first.sizes.count - 1))) }
    builder.pointwise(inputs, to: output) { _ in body }
    self.values.append(output)
  }

  private func fits(_ operand: Operand, _ sizes: [Int]) -> Bool {
    operand.sizes.count <= sizes.count
      && zip(operand.sizes.reversed(), sizes.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
  }

  private mutating func reduction() {
    let input = any()
    let dimensions = input.sizes.indices.filter { _ in pick(0...1) == 0 }
    let kept = input.sizes.indices.filter { !dimensions.contains($0) }.map { input.sizes[$0] }
    let output = target(kept)
    let body = expression([.load(0)])
    builder.reduce(
      pick(0...2) == 0 ? .maximum : .sum, [input], over: Array(dimensions), to: output, accumulating: .float32
    ) { _ in
      body
    } finish: {
      tanh($0)
    }
    values.append(output)
  }

  private mutating func view() {
    let operand = any()
    guard !operand.sizes.isEmpty else { return }
    switch pick(0...3) {
    case 0: values.append(operand.permuted(operand.sizes.indices.shuffled(using: &random)))
    case 1:
      let last = operand.sizes.count - 1
      values.append(
        operand.viewed(
          as: operand.sizes, strides: operand.strides.enumerated().map { $0 == last ? -$1 : $1 },
          offset: operand.offset + (operand.sizes[last] - 1) * operand.strides[last]))
    case 2 where operand.sizes[0] > 1:
      values.append(
        operand.viewed(
          as: [operand.sizes[0] - 1] + operand.sizes.dropFirst(), strides: operand.strides,
          offset: operand.offset + operand.strides[0]))
    default:
      // A dense copy seen flat, or as one more dimension.
      let copy = builder.temporary(.float32, operand.sizes)
      builder.copy(operand, to: copy)
      let count = operand.elementCount
      values.append(
        count % 2 == 0
          ? copy.viewed(as: [count / 2, 2], strides: [2, 1], offset: 0)
          : copy.viewed(as: [count], strides: [1], offset: 0))
    }
  }

  private mutating func softmax() {
    let input = any()
    guard let last = input.sizes.indices.last else { return }
    let outer = Array(input.sizes.dropLast())
    let largest = target(outer)
    let total = target(outer)
    let powers = target(input.sizes)
    let output = target(input.sizes)
    func kept(_ operand: Operand) -> Operand {
      operand.viewed(as: outer + [1], strides: operand.strides + [1], offset: operand.offset)
    }
    builder.reduce(.maximum, [input], over: [last], to: largest, accumulating: .float32)
    builder.pointwise([input, kept(largest)], to: powers) { exp($0[0] - $0[1]) }
    builder.reduce(.sum, [powers], over: [last], to: total, accumulating: .float32)
    builder.pointwise([powers, kept(total)], to: output) { $0[0] / $0[1] }
    values.append(output)
  }

  private mutating func product() {
    let left = any()
    guard left.sizes.count == 2 else { return }
    let copy = builder.temporary(.float32, [left.sizes[1], left.sizes[0]])
    builder.copy(left.permuted([1, 0]), to: copy)
    let output = target([left.sizes[0], left.sizes[0]])
    builder.matmul(left, copy, to: output, alpha: 0.1)
    values.append(output)
  }

  /// Writes an external in place. What was read of it before keeps its old elements only where it was copied.
  private mutating func inPlace() {
    let written = externals[pick(0...externals.count - 1)]
    let other = any()
    let isSafe = other.buffer != written.buffer && fits(other, written.sizes)
    let inputs = isSafe ? [written, other] : [written]
    builder.pointwise(inputs, to: written) { $0.count > 1 ? tanh($0[0] + $0[1]) : $0[0] * 0.9 }
  }

  /// Stores that several indices have a part in.
  private mutating func collision() {
    let input = any()
    guard !input.sizes.isEmpty else { return }
    let output = target(Array(input.sizes.dropLast()))
    builder.fill(output, 1)
    let modes = LoopKernel.Store.Mode.allCases.filter { $0 != .assign }
    builder.pointwise(
      [input], to: output.viewed(as: input.sizes, strides: output.strides + [0], offset: output.offset),
      mode: modes[pick(0...modes.count - 1)]
    ) { $0[0] }
    values.append(output)
  }

  private mutating func concatenation() {
    let first = any()
    guard first.sizes.count == 2 else { return }
    let (rows, columns) = (first.sizes[0], first.sizes[1])
    let output = target([2 * rows, columns])
    let halves = [0, rows * columns].map { output.viewed(as: first.sizes, strides: [columns, 1], offset: $0) }
    builder.pointwise([first], to: halves[0]) { tanh($0[0]) }
    builder.pointwise([first], to: halves[1]) { $0[0] * 2 }
    values.append(output)
  }
}
