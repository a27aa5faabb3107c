import Foundation
import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let scans = [cumsum, cumprod, logcumsumexp, linearRecurrence]

  /// Sums of the elements up to each, along a dimension. Integers and bool accumulate and give int64.
  public static let cumsum = scan("cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor") {
    $0 + $1
  } integers: {
    $0 &+ $1
  }
  .derivative { d in
    let rank = d.gradient.rank
    guard rank > 0 else { return d.gradient }
    let dimension = try d.call.dimension(1, rank: rank)
    return try d.gradient.flip([dimension]).cumsum(dimension).flip([dimension])
  }
  .inPlaceVariant()

  /// Products of the elements up to each, along a dimension.
  public static let cumprod = scan("cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor") {
    $0 * $1
  } integers: {
    $0 &* $1
  }
  .derivative(saving: ["self"]) { d in
    let input = try d.tensor("self").converted(to: d.gradient.dtype)
    guard input.rank > 0 else { return d.gradient }
    let dimension = try d.call.dimension(1, rank: input.rank)
    // The product before each element, times the sum of later gradients, each times the elements in between: exact where
    // elements are 0 too.
    let before = try input.shifted(dimension, filledWith: 1).cumprod(dimension)
    let reversed = try input.flip([dimension]).shifted(dimension, filledWith: 0)
    let later = try linearRecurrence(
      .reference(reversed), .reference(d.gradient.flip([dimension])), Value(dimension))
    return try before * later.flip([dimension])
  }
  .inPlaceVariant()

  /// Logarithms of the sums of the exponentials of the elements up to each, along a dimension.
  public static let logcumsumexp: OperatorDefinition = scan("logcumsumexp(Tensor self, int dim) -> Tensor") { a, b in
    let (low, high) = a < b ? (a, b) : (b, a)
    // Equal infinities have no difference.
    return low == high && low.isInfinite ? low : high + Foundation.log1p(Foundation.exp(low - high))
  }
  .derivative(saving: ["self", "result"]) { d in
    let (input, result) = (try d.tensor("self"), d.result)
    guard input.rank > 0 else { return d.gradient }
    let dimension = try d.call.dimension(1, rank: input.rank)
    // Later gradients count by exp(result - later result), which steps from each place to the next, so that nothing grows.
    let reversed = try result.flip([dimension])
    let factors = try (reversed - reversed.shifted(dimension, filledWith: 0)).exp()
    let later = try linearRecurrence(
      .reference(factors), .reference(d.gradient.flip([dimension])), Value(dimension))
    return try later.flip([dimension]) * (input - result).exp()
  }

  /// y[i] = factor[i] · y[i - 1] + term[i] along a dimension, with y[-1] = 0. Not in ATen: what the derivative of `cumprod`
  /// takes.
  public static let linearRecurrence: OperatorDefinition = OperatorDefinition(
    "aot::linear_recurrence(Tensor factor, Tensor term, int dim) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let (factor, term) = (try call.tensor(0), try call.tensor(1))
        _ = try call.dimension(2, rank: term.rank)
        guard factor.sizes == term.sizes, factor.dtype == term.dtype, term.dtype.isFloatingPoint else {
          throw OperatorError(
            .shape, call.target.name,
            "needs operands of one shape and floating-point dtype, got \(factor.dtype) \(factor.sizes) and \(term.dtype) \(term.sizes)"
          )
        }
        return [TensorMeta(dtype: term.dtype, sizes: term.sizes, device: term.device)]
      },
      lowering: { call, results, builder in
        let term = try call.reference(1)
        let lines = ScanLines(sizes: term.sizes, dimension: try call.dimension(2, rank: term.sizes.count))
        let (factors, sums) = (builder.temporary(.float64, term.sizes), builder.temporary(.float64, term.sizes))
        builder.copy(try call.reference(0), to: factors)
        builder.copy(term, to: sums)
        builder.append(
          .host(
            HostKernel(name: "linear_recurrence", inputs: [factors, sums], outputs: [sums]) { inputs, outputs in
              let factors = inputs[0].assumingMemoryBound(to: Double.self)
              let sums = outputs[0].assumingMemoryBound(to: Double.self)
              lines.forEachStep { place, previous in sums[place] += factors[place] * sums[previous] }
            }))
        builder.copy(sums, to: results[0])
      })
  )
  .derivative(of: "factor", "term", saving: ["factor", "result"]) { d -> [Value] in
    let factor = try d.tensor("factor")
    guard factor.rank > 0 else { return [.reference(try factor.zerosLike()), .reference(d.gradient)] }
    let dimension = try d.call.dimension(2, rank: factor.rank)
    let next = try factor.flip([dimension]).shifted(dimension, filledWith: 0)
    let toTerm = try linearRecurrence(
      .reference(next), .reference(d.gradient.flip([dimension])), Value(dimension)
    ).flip([dimension])
    return [.reference(try toTerm * d.result.shifted(dimension, filledWith: 0)), .reference(toTerm)]
  }

  /// - Parameter integers: How integers are combined, which make int64; nil where there is no such operator for them.
  private static func scan(
    _ text: String, _ combine: @escaping @Sendable (Double, Double) -> Double,
    integers: (@Sendable (Int, Int) -> Int)? = nil
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let dtypePosition = schema.index(of: "dtype")
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          _ = try call.dimension(1, rank: input.rank)
          let named = try dtypePosition.flatMap(call.optionalDType)
          let dtype = named ?? (input.dtype.isFloatingPoint ? input.dtype : .int64)
          guard dtype.isFloatingPoint || (integers != nil && dtype != .bool) else {
            throw OperatorError(.dtype, call.target.name, "is not defined for \(named ?? input.dtype)")
          }
          return [TensorMeta(dtype: dtype, sizes: input.sizes, device: input.device)]
        },
        lowering: { call, results, builder in
          let (input, output) = (try call.reference(0), results[0])
          let lines = ScanLines(sizes: input.sizes, dimension: try call.dimension(1, rank: input.sizes.count))
          // Every line is walked in double precision or int64; the result rounds it.
          let dtype: DType = output.dtype.isFloatingPoint ? .float64 : .int64
          let sums = builder.temporary(dtype, input.sizes)
          builder.copy(input, to: sums)
          builder.append(
            .host(
              HostKernel(name: schema.name.base, inputs: [sums], outputs: [sums]) { _, outputs in
                if dtype == .int64, let integers {
                  let sums = outputs[0].assumingMemoryBound(to: Int.self)
                  lines.forEachStep { place, previous in sums[place] = integers(sums[previous], sums[place]) }
                } else {
                  let sums = outputs[0].assumingMemoryBound(to: Double.self)
                  lines.forEachStep { place, previous in sums[place] = combine(sums[previous], sums[place]) }
                }
              }))
          builder.copy(sums, to: output)
        }))
  }
}

/// The lines of a dense tensor along one dimension.
private struct ScanLines: Sendable {
  private let outerCount: Int
  private let length: Int
  private let innerCount: Int

  init(sizes: [Int], dimension: Int) {
    outerCount = sizes.prefix(dimension).reduce(1, *)
    length = sizes.isEmpty ? 1 : sizes[dimension]
    innerCount = sizes.dropFirst(dimension + 1).reduce(1, *)
  }

  /// Calls `body` with the place of every element that has one before it in its line, and the place of that one.
  @inline(__always)
  func forEachStep(_ body: (_ place: Int, _ previous: Int) -> Void) {
    guard length > 1 else { return }
    for outer in 0..<outerCount {
      let start = outer * length * innerCount
      for place in start + innerCount..<start + length * innerCount { body(place, place - innerCount) }
    }
  }
}

extension Tensor {
  /// The elements moved on by one place along a dimension, the first place filled with a number.
  fileprivate func shifted(_ dimension: Int, filledWith value: Double) throws -> Tensor {
    let length = shape[dimension]
    guard length > 0 else { return self }
    var edge = shape
    edge[dimension] = 1
    return try Tensor.cat([newFull(edge, value), narrow(dimension, from: 0, length: length - 1)], dimension: dimension)
  }

  /// Sums of the elements up to each, along a dimension.
  public func cumsum(_ dimension: Int, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.cumsum(.reference(self), Value(dimension), Value(dtype))
  }

  /// Logarithms of the sums of the exponentials of the elements up to each, along a dimension.
  public func logcumsumexp(_ dimension: Int) throws -> Tensor {
    try OperatorLibrary.logcumsumexp(.reference(self), Value(dimension))
  }

  /// Products of the elements up to each, along a dimension.
  public func cumprod(_ dimension: Int, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.cumprod(.reference(self), Value(dimension), Value(dtype))
  }
}
