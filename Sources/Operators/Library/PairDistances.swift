import GraphIR
import LoopIR
import TensorCore

/// Distances of all pairs of rows.
extension OperatorLibrary {
  static let pairDistances = [cdistForward, cdistBackward, pdistForward, pdistBackward]

  /// See `cdist`.
  public static let cdistForward = OperatorDefinition(
    "_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let (x1, x2) = (try call.tensor(0), try call.tensor(1))
        _ = try DistanceNorm(call, at: 2)
        guard try (0...2).contains(call.optionalInt(3) ?? 0) else { throw call.mismatch(3, "0, 1, 2 or none") }
        let sizes = try checkedPairs(call, x1, x2)
        try checkPrecision(call, x1, rows: Array(sizes.dropLast().suffix(2)))
        return [TensorMeta(dtype: x1.dtype, sizes: Array(sizes.dropLast()), device: x1.device)]
      },
      lowering: { call, results, builder in
        let (x1, x2) = (try call.reference(0).insertingOne(at: -2), try call.reference(1).insertingOne(at: -3))
        let norm = try DistanceNorm(call, at: 2)
        let sizes = results[0].sizes + [x1.sizes[x1.sizes.count - 1]]
        let dtype = results[0].dtype.accumulator
        var reduction = norm.reduction(.cast(dtype, .load(0)) - .cast(dtype, .load(1)), dtype: dtype)
        // As PyTorch has it: the largest difference is that of the others where one is NaN.
        if reduction.operation == .maximum {
          reduction.value = select(.unary(.isNaN, reduction.value), 0, reduction.value)
        }
        builder.rows(
          [x1, x2], of: sizes, over: [sizes.count - 1], reductions: [reduction],
          outer: [(results[0], norm.finish(.reduced(0)))])
      })
  )
  .derivative(of: "x1", saving: ["x1", "x2", "result"]) { d in
    try cdistBackward(.reference(d.gradient), d["x1"], d["x2"], d["p"], .reference(d.result))
  }
  .derivative(of: "x2", saving: ["x1", "x2", "result"]) { d in
    try cdistBackward(
      .reference(d.gradient.transpose(-1, -2)), d["x2"], d["x1"], d["p"], .reference(d.result.transpose(-1, -2)))
  }

  /// The gradient of the distances with respect to `x1`, in the batches of both.
  public static let cdistBackward = OperatorDefinition(
    "_cdist_backward(Tensor grad, Tensor x1, Tensor x2, float p, Tensor cdist) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let x1 = try call.tensor(1)
        _ = try DistanceNorm(call, at: 3)
        let sizes = try checkedPairs(call, x1, call.tensor(2))
        let distances = try [call.tensor(0), call.tensor(4)]
        guard distances.allSatisfy({ $0.sizes == Array(sizes.dropLast()) && $0.dtype == x1.dtype }) else {
          throw OperatorError(
            .shape, call.target.name,
            "needs a gradient and distances of type \(x1.dtype) and shape \(sizes.dropLast()), got"
              + " \(distances.map { "\($0.dtype) \($0.sizes)" }.joined(separator: " and "))")
        }
        return [
          TensorMeta(dtype: x1.dtype, sizes: sizes.dropLast(2) + [sizes[sizes.count - 1]], device: x1.device)
        ]
      },
      lowering: { call, results, builder in
        let (x1, x2) = (try call.reference(1).insertingOne(at: -2), try call.reference(2).insertingOne(at: -3))
        let (gradient, distance) = (try call.reference(0), try call.reference(4))
        let sizes = gradient.sizes + [x1.sizes[x1.sizes.count - 1]]
        let dtype = results[0].dtype.accumulator
        let difference = ScalarExpression.cast(dtype, .load(2)) - .cast(dtype, .load(3))
        let slope = try DistanceNorm(call, at: 3).slope(difference, .cast(dtype, .load(1)))
        builder.rows(
          [gradient.insertingOne(at: -1), distance.insertingOne(at: -1), x1, x2], of: sizes, over: [sizes.count - 2],
          reductions: [.init(.sum, .cast(dtype, .load(0)) * slope, dtype: dtype)],
          outer: [(results[0], .reduced(0))])
      })
  )
  .derivative(of: "grad", "x1", "x2", "cdist", saving: ["grad", "x1", "x2", "cdist"]) { d -> [Value] in
    let difference = try d.tensor("x1").unsqueeze(-2) - d.tensor("x2").unsqueeze(-3)
    let slopes = try DistanceNorm(d.call, at: 3).slopes(difference, d.tensor("cdist").unsqueeze(-1))
    let incoming = try d.gradient.unsqueeze(-2)
    let terms = try incoming * d.tensor("grad").unsqueeze(-1)
    let byDifference = try terms * slopes.byDifference
    return try [
      .reference((incoming * slopes.slope).sum([-1])), .reference(byDifference.sum([-2])),
      .reference(-byDifference.sum([-3])), .reference((terms * slopes.byDistance).sum([-1])),
    ]
  }

  /// See `pdist`.
  public static let pdistForward = OperatorDefinition(
    "_pdist_forward(Tensor self, float p=2.) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        _ = try DistanceNorm(call, at: 1)
        return [
          TensorMeta(dtype: input.dtype, sizes: [SymInt(try checkedPairCount(call, input))], device: input.device)
        ]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let norm = try DistanceNorm(call, at: 1)
        let pair = RowPair(number: .coordinate(0), of: input.sizes[0])
        let loads = [pair.first, pair.second].map { row in
          LoopKernel.Access(
            buffer: input.buffer, dtype: input.dtype, strides: [0, input.strides[1]], offset: input.offset,
            indirections: [.init(index: row, size: input.sizes[0], stride: input.strides[0])])
        }
        builder.append(
          .loop(
            LoopKernel(
              outerSizes: results[0].sizes, reducedSizes: [input.sizes[1]], loads: loads,
              reductions: [norm.reduction(.load(0) - .load(1), dtype: input.dtype)],
              stores: [.init(results[0].access, norm.finish(.reduced(0)), extent: .outer)])))
      })
  )
  .derivative(saving: ["self", "result"]) { d in
    try pdistBackward(.reference(d.gradient), d["self"], d["p"], .reference(d.result))
  }

  // No second derivative, as in PyTorch.
  public static let pdistBackward = OperatorDefinition(
    "_pdist_backward(Tensor grad, Tensor self, float p, Tensor pdist) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(1)
        _ = try DistanceNorm(call, at: 2)
        let count = try checkedPairCount(call, input)
        for distances in try [call.tensor(0), call.tensor(3)]
        where distances.shape != [count] || distances.dtype != input.dtype {
          throw OperatorError(
            .shape, call.target.name,
            "needs \(count) numbers of type \(input.dtype), one per pair of rows, got \(distances.dtype)"
              + " \(distances.sizes)")
        }
        return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let input = try call.reference(1)
        let (rowCount, rowStride, stride) = (input.sizes[0], input.strides[0], input.strides[1])
        guard rowCount > 1 else { return builder.fill(results[0], 0) }
        // Over the other row of each pair.
        let (row, other) = (ScalarExpression.coordinate(0), ScalarExpression.coordinate(2))
        let isSame = row .== other
        let number = select(isSame, 0, RowPair.number(of: row, other, of: rowCount))
        let perPair = try [0, 3].map { position in
          let operand = try call.reference(position)
          return LoopKernel.Access(
            buffer: operand.buffer, dtype: operand.dtype, strides: [0, 0, 0], offset: operand.offset,
            indirections: [.init(index: number, size: operand.sizes[0], stride: operand.strides[0])])
        }
        let rows = [[rowStride, stride, 0], [0, stride, rowStride]].map {
          LoopKernel.Access(buffer: input.buffer, dtype: input.dtype, strides: $0, offset: input.offset)
        }
        let slope = try DistanceNorm(call, at: 2).slope(.load(2) - .load(3), .load(1))
        builder.append(
          .loop(
            LoopKernel(
              outerSizes: input.sizes, reducedSizes: [rowCount], loads: perPair + rows,
              reductions: [.init(.sum, select(isSame, 0, .load(0) * slope), dtype: input.dtype)],
              stores: [.init(results[0].access, .reduced(0), extent: .outer)])))
      }))

  /// Batch, rows of both, and columns of a call's inputs.
  private static func checkedPairs(_ call: OperatorCall, _ x1: Tensor, _ x2: Tensor) throws -> [SymInt] {
    guard x1.rank > 1, x2.rank > 1, x1.sizes[x1.rank - 1] == x2.sizes[x2.rank - 1] else {
      throw OperatorError(
        .shape, call.target.name, "needs rows of one length, [P, M] and [R, M]; got \(x1.sizes) and \(x2.sizes)")
    }
    guard x1.dtype == x2.dtype, x1.dtype.isFloatingPoint else {
      throw OperatorError(
        .dtype, call.target.name, "needs inputs of one floating-point dtype, got \(x1.dtype) and \(x2.dtype)")
    }
    let batch = try call.target.broadcast([x1, x2].map { Array($0.sizes.dropLast(2)) })
    return batch + [x1.sizes[x1.rank - 2], x2.sizes[x2.rank - 2], x1.sizes[x1.rank - 1]]
  }

  private static func checkedPairCount(_ call: OperatorCall, _ input: Tensor) throws -> Int {
    guard input.rank == 2 || (input.rank > 2 && input.shape[0] < 2), input.layout.isContiguous else {
      throw OperatorError(.shape, call.target.name, "needs a contiguous matrix, got shape \(input.sizes)")
    }
    guard [.float32, .float64].contains(input.dtype) else {
      throw OperatorError(.dtype, call.target.name, "needs float32 or float64, got \(input.dtype)")
    }
    let (product, overflow) = input.shape[0].multipliedReportingOverflow(by: input.shape[0] - 1)
    guard !overflow else {
      throw OperatorError(.shape, call.target.name, "\(input.sizes[0]) rows have more pairs than can be counted")
    }
    return product / 2
  }

  /// Half precision is refused where PyTorch does not find the distances by a matrix product.
  private static func checkPrecision(_ call: OperatorCall, _ input: Tensor, rows: [SymInt]) throws {
    if [.float32, .float64].contains(input.dtype) || rows.contains(0) { return }
    let mode = try call.optionalInt(3) ?? 0
    let isProduct = try call.double(2) == 2 && (mode == 1 || (mode == 0 && rows.contains { $0 > 25 }))
    guard isProduct else {
      throw OperatorError(.dtype, call.target.name, "needs float32 or float64, got \(input.dtype)")
    }
  }
}

/// The pairs of different rows out of some, numbered (0, 1), (0, 2), …, (1, 2), ….
private struct RowPair {
  let first: ScalarExpression
  let second: ScalarExpression

  /// The pair of a number.
  init(number: ScalarExpression, of count: Int) {
    // The larger root of first² - (2 · count - 1) · first + 2 · number = 0, rounded down; the 1 makes up for its rounding.
    let half = Double(count) - 0.5
    let discriminant = .constant(.double(half * half - 1)) - 2 * ScalarExpression.cast(.float64, number)
    first = .cast(.int64, .constant(.double(half)) - sqrt(discriminant))
    second = number - Self.numberOfFirstPair(first, of: count) + first + 1
  }

  static func number(of row: ScalarExpression, _ other: ScalarExpression, of count: Int) -> ScalarExpression {
    let (low, high) = (ScalarExpression.binary(.minimum, row, other), ScalarExpression.binary(.maximum, row, other))
    return numberOfFirstPair(low, of: count) + high - low - 1
  }

  /// The number of the pair of a row with the next one.
  private static func numberOfFirstPair(_ row: ScalarExpression, of count: Int) -> ScalarExpression {
    row * .constant(.int(count)) - row * (row + 1) / 2
  }
}

extension Operand {
  /// With a dimension of size 1 before this one, counted from the end of the result.
  fileprivate func insertingOne(at position: Int) -> Operand {
    var result = self
    let place = sizes.count + 1 + position
    result.sizes.insert(1, at: place)
    result.strides.insert(0, at: place)
    return result
  }
}
