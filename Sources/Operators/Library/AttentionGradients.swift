import GraphIR
import TensorCore

/// What attention is made of, in tensor operations: scores S = scale · Q Kᵀ + mask and weights P, their softmax.
struct AttentionTerms {
  // Query is [B, G, H / G, L, E], key and value [B, G, 1, S, E].
  let query: Tensor
  let key: Tensor
  let value: Tensor
  let scale: Double
  /// [B, G, H / G, L, S]
  let scores: Tensor
  let weights: Tensor
  /// [B, H, L, E]
  private let querySizes: [SymInt]

  init(_ call: OperatorCall, queryAt first: Int, causalAt: Int, maskAt: Int) throws {
    let (given, groups) = (try call.tensor(first), try call.tensor(first + 1).sizes[1])
    let dtype = given.dtype.accumulator
    querySizes = given.sizes
    query = try given.converted(to: dtype).groupingHeads(groups)
    key = try call.tensor(first + 1).converted(to: dtype).unsqueeze(2)
    value = try call.tensor(first + 2).converted(to: dtype).unsqueeze(2)
    scale = try call.optionalScalar(maskAt + 1)?.doubleValue ?? 1 / Double(given.shape[3]).squareRoot()
    let (rows, columns) = (given.shape[2], key.shape[3])
    var scores = try (query * scale).matmul(key.transpose(-2, -1))
    if let mask = try call.optionalTensor(maskAt) {
      let wide = try mask.expand(Array(querySizes.dropLast()) + [SymInt(columns)])
      scores = try scores + wide.groupingHeads(groups)
    }
    if try call.bool(causalAt) { scores = try scores.hidingLaterColumns(rows: rows, columns: columns) }
    self.scores = scores
    weights = try OperatorLibrary.safeSoftmax(.reference(scores), .int(-1))
  }

  /// P V, [B, H, L, E]
  var output: Tensor { get throws { try ungrouped(weights.matmul(value)) } }

  /// The logarithm of each row's sum of exponentials, [B, H, L]; 0 where a row sees nothing.
  var logSumExp: Tensor {
    get throws {
      let sums = try scores.logSumExp([-1], keepDimensions: true)
      return try ungrouped(sums.maskedFill(sums.eq(-Double.infinity), 0)).squeeze(-1)
    }
  }

  /// [B, G, H / G, L, …] as [B, H, L, …]
  func ungrouped(_ x: Tensor) throws -> Tensor {
    try x.reshape(Array(querySizes.dropLast()) + [x.sizes[4]])
  }
}

/// The backward pass of attention in tensor operations. With P the weights, g the gradient of the output and scores
/// S = scale · Q Kᵀ + mask,
///
///     dP = g Vᵀ,   dS = P · (dP - Σ P · dP),   dQ = scale · dS K,   dK = scale · dSᵀ Q,   dV = Pᵀ g.
struct AttentionGradients {
  private let terms: AttentionTerms
  /// [B, G, H / G, L, E]
  private let gradient: Tensor
  private let toWeights: Tensor

  private var query: Tensor { terms.query }
  private var key: Tensor { terms.key }
  private var value: Tensor { terms.value }
  private var scale: Double { terms.scale }
  private var weights: Tensor { terms.weights }

  init(_ call: OperatorCall, queryAt first: Int, causalAt: Int, maskAt: Int, gradient: Tensor) throws {
    terms = try AttentionTerms(call, queryAt: first, causalAt: causalAt, maskAt: maskAt)
    self.gradient = try gradient.converted(to: terms.query.dtype).groupingHeads(terms.key.sizes[1])
    toWeights = try self.gradient.matmul(terms.value.transpose(-2, -1))
  }

  /// Those of query, key and value.
  var first: [Tensor] {
    get throws {
      let toScores = try softmaxGradient(toWeights)
      return try [
        terms.ungrouped(scale * toScores.matmul(key)),
        (scale * toScores.transpose(-2, -1).matmul(query)).sum([2]),
        weights.transpose(-2, -1).matmul(gradient).sum([2]),
      ]
    }
  }

  /// The gradient of the scores, and so of a mask, [B, H, L, S].
  var ofScores: Tensor { get throws { try terms.ungrouped(softmaxGradient(toWeights)) } }

  /// The gradients of Σ tangent · gradient, over those of query, key and value, with respect to `gradient`, query, key, value
  /// and mask.
  func secondGradients(_ tangents: [Tensor?]) throws -> [Tensor] {
    let groups = key.sizes[1]
    func tangent(_ index: Int, like other: Tensor) throws -> Tensor {
      guard let tangent = try tangents[index]?.converted(to: other.dtype) else { return try other.zerosLike() }
      return try index == 0 ? tangent.groupingHeads(groups) : tangent.unsqueeze(2)
    }
    let alongQuery = try tangent(0, like: query)
    let alongKey = try tangent(1, like: key)
    let alongValue = try tangent(2, like: value)
    // How the scores move along the tangents, and with them the weights.
    let scores = try scale * (alongQuery.matmul(key.transpose(-2, -1)) + query.matmul(alongKey.transpose(-2, -1)))
    let moved = try softmaxGradient(scores)
    let toGradient = try moved.matmul(value) + weights.matmul(alongValue)
    let toValue = try moved.transpose(-2, -1).matmul(gradient)
    let (slope, movedSlope) = (try rowSum(weights * toWeights), try rowSum(weights * scores))
    let throughWeights = try scores * (toWeights - slope) - movedSlope * toWeights
    let toScores = try softmaxGradient(throughWeights + gradient.matmul(alongValue.transpose(-2, -1)))
    let direct = try softmaxGradient(toWeights)
    let toQuery = try scale * (toScores.matmul(key) + direct.matmul(alongKey))
    let toKey =
      try scale * (toScores.transpose(-2, -1).matmul(query) + direct.transpose(-2, -1).matmul(alongQuery))
    return try [
      terms.ungrouped(toGradient), terms.ungrouped(toQuery), toKey.sum([2]), toValue.sum([2]),
      terms.ungrouped(toScores),
    ]
  }

  /// What a gradient of the weights is for the scores; symmetric, so also what moving scores do to the weights.
  private func softmaxGradient(_ x: Tensor) throws -> Tensor { try weights * (x - rowSum(weights * x)) }

  private func rowSum(_ x: Tensor) throws -> Tensor { try x.sum([-1], keepDimensions: true) }
}

extension Tensor {
  /// [B, H, …] as [B, groups, H / groups, …]
  fileprivate func groupingHeads(_ groups: SymInt) throws -> Tensor {
    try reshape([sizes[0], groups, groups == 0 ? 1 : sizes[1] / groups] + sizes[2...])
  }

  /// Scores [..., rows, columns] in which each row sees the columns up to its own.
  func hidingLaterColumns(rows: Int, columns: Int) throws -> Tensor {
    let (row, column) = (try Tensor.arange(rows, device: device), try Tensor.arange(columns, device: device))
    let isHidden = try column.unsqueeze(0).gt(row.unsqueeze(1))
    return try maskedFill(isHidden, -Double.infinity)
  }
}
