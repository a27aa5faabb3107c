import LoopIR
import TensorCore

/// The kernels of attention. Query and what has its sizes are seen as [B, G, H / G, L, E], key and value as [B, G, 1, S, E];
/// all are computed in the accumulating type.
struct AttentionLowering {
  let query: Operand
  let key: Operand
  let value: Operand
  private let mask: Operand?
  private let isCausal: Bool
  private let scale: Double
  private let dtype: DType
  /// [B, G, H / G, L, S]
  private let scoreSizes: [Int]

  init(
    _ call: LoweringCall, queryAt first: Int, causalAt: Int, maskAt: Int, _ builder: inout LoopBuilder
  ) throws {
    let (query, key) = (try call.reference(first), try call.reference(first + 1))
    let groups = key.sizes[1]
    let dtype = query.dtype.accumulator
    self.dtype = dtype
    isCausal = try call.bool(causalAt)
    scale = try call.optionalScalar(maskAt + 1)?.doubleValue ?? 1 / Double(query.sizes[3]).squareRoot()
    self.query = builder.converted(query, to: dtype).grouping(1, into: groups)
    self.key = builder.converted(key, to: dtype).grouping(1, into: groups)
    value = builder.converted(try call.reference(first + 2), to: dtype).grouping(1, into: groups)
    let wide = [query.sizes[0], query.sizes[1], query.sizes[2], key.sizes[2]]
    mask = try call.optionalReference(maskAt)?.broadcast(to: wide).grouping(1, into: groups)
    scoreSizes = self.query.sizes.dropLast() + [key.sizes[2]]
  }

  /// An operand of the query's sizes, as the others are seen.
  func grouped(_ operand: Operand, _ builder: inout LoopBuilder) -> Operand {
    builder.converted(operand, to: dtype).grouping(1, into: key.sizes[1])
  }

  /// The weights, rows of which sum to 1; writes the logarithms of the sums that they were divided by.
  func normalizedWeights(logsumexp: Operand, _ builder: inout LoopBuilder) -> Operand {
    let scores = scores(&builder)
    let isHidden = ScalarExpression.reduced(0) .== .constant(.double(-.infinity))
    let exponential = exp(maskedScore - select(isHidden, 0, .reduced(0)))
    builder.rows(
      [scores] + [mask].compactMap(\.self), of: scoreSizes, over: [4],
      reductions: [.init(.maximum, maskedScore, dtype: dtype), .init(.sum, exponential, dtype: dtype)],
      outer: [(logsumexp.grouping(1, into: key.sizes[1]), select(isHidden, 0, log(.reduced(1)) + .reduced(0)))],
      full: [(scores, select(isHidden, 0, exponential / .reduced(1)))])
    return scores
  }

  /// The same weights, from the logarithms.
  func restoredWeights(logsumexp: Operand, _ builder: inout LoopBuilder) -> Operand {
    let scores = scores(&builder)
    var inputs = [scores] + [mask].compactMap(\.self)
    inputs.append(logsumexp.grouping(1, into: key.sizes[1]).withColumn)
    builder.pointwise(inputs, to: scores) { _ in exp(maskedScore - .load(inputs.count - 1)) }
    return scores
  }

  /// weights · (gradient @ valueᵀ - Σ gradient · output), scaled as the scores are.
  func gradientOfScores(
    _ weights: Operand, gradient: Operand, output: Operand, _ builder: inout LoopBuilder
  ) -> Operand {
    let slopes = builder.temporary(dtype, Array(scoreSizes.dropLast()))
    builder.reduce(.sum, [gradient, output], over: [4], to: slopes, accumulating: dtype) { $0[0] * $0[1] }
    let result = builder.temporary(dtype, scoreSizes)
    multiply(gradient, value.transposed, to: result, &builder)
    let scale = ScalarExpression.constant(.double(scale))
    builder.pointwise([result, weights, slopes.withColumn], to: result) { $0[1] * ($0[0] - $0[2]) * scale }
    return result
  }

  /// Writes left @ right, right's heads serving each of their group.
  func multiply(_ left: Operand, _ right: Operand, to result: Operand, alpha: Double = 1, _ builder: inout LoopBuilder)
  {
    let product = result.dtype == dtype ? result : builder.temporary(dtype, result.sizes)
    let target = product.sizes.count == 4 ? product.grouping(1, into: key.sizes[1]) : product
    builder.matmul(
      left, right.broadcast(to: Array(left.sizes[..<3]) + right.sizes[3...]), to: target, alpha: alpha)
    if product != result { builder.copy(product, to: result) }
  }

  /// Writes leftᵀ @ right, summed over the heads of a group.
  func multiplySummingGroups(_ left: Operand, _ right: Operand, to result: Operand, _ builder: inout LoopBuilder) {
    let product = result.dtype == dtype ? result : builder.temporary(dtype, result.sizes)
    for head in 0..<left.sizes[2] {
      builder.matmul(
        left.selecting(2, head).transposed, right.selecting(2, head), to: product, beta: head == 0 ? 0 : 1)
    }
    if product != result { builder.copy(product, to: result) }
  }

  private func scores(_ builder: inout LoopBuilder) -> Operand {
    let result = builder.temporary(dtype, scoreSizes)
    multiply(query, key.transposed, to: result, alpha: scale, &builder)
    return result
  }

  /// The score (load 0), with the mask (load 1) added and what a row may not see left out.
  private var maskedScore: ScalarExpression {
    var score = ScalarExpression.load(0)
    if mask != nil { score = score + .cast(dtype, .load(1)) }
    if isCausal { score = select(.coordinate(3) .>= .coordinate(4), score, .constant(.double(-.infinity))) }
    return score
  }
}

extension LoopBuilder {
  /// The operand itself where it is of that type, else a copy.
  fileprivate mutating func converted(_ operand: Operand, to dtype: DType) -> Operand {
    if operand.dtype == dtype { return operand }
    let result = temporary(dtype, operand.sizes)
    copy(operand, to: result)
    return result
  }
}

extension Operand {
  /// Matrices with rows and columns exchanged.
  fileprivate var transposed: Operand {
    permuted(Array(0..<sizes.count - 2) + [sizes.count - 1, sizes.count - 2])
  }

  /// With one column more.
  fileprivate var withColumn: Operand { viewed(as: sizes + [1], strides: strides + [0], offset: offset) }

  fileprivate func selecting(_ dimension: Int, _ index: Int) -> Operand {
    var result = self
    result.offset += index * strides[dimension]
    result.sizes.remove(at: dimension)
    result.strides.remove(at: dimension)
    return result
  }
}
