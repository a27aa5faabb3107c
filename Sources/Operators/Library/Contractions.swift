import GraphIR
import TensorCore

// Products summed over chosen dimensions.
extension OperatorLibrary {
  static let contractions = [inner, tensordot, trilinear, bilinear]

  /// Products summed over the last dimension of both; with a tensor without dimensions, the product.
  public static let inner = OperatorDefinition(
    "inner(Tensor self, Tensor other) -> Tensor",
    .composite { call in
      let (left, right) = (try call.tensor(0), try call.tensor(1))
      if left.rank == 0 || right.rank == 0 { return .reference(try left * right) }
      guard left.sizes.last == right.sizes.last else { throw call.sizesDoNotMatch(left, right) }
      return .reference(try left.tensordot(right, [-1], [-1]))
    })

  /// Products summed over pairs of dimensions; what is left of `self` comes first.
  public static let tensordot = OperatorDefinition(
    "tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor",
    .composite { call in
      var (left, right) = (try call.tensor(0), try call.tensor(1))
      let dimensions = (try call.dimensions(2, of: left), try call.dimensions(3, of: right))
      guard dimensions.0.count == dimensions.1.count, left.dtype == right.dtype else {
        throw OperatorError(
          .argument, call.target.name,
          "needs as many dimensions of each, of one dtype; got \(dimensions.0) of \(left.dtype) and \(dimensions.1) of"
            + " \(right.dtype)")
      }
      for (first, second) in zip(dimensions.0, dimensions.1) where left.sizes[first] != right.sizes[second] {
        if right.sizes[second] == 1 {
          left = try left.sum([first], keepDimensions: true, dtype: left.dtype)
        } else if left.sizes[first] == 1 {
          right = try right.sum([second], keepDimensions: true, dtype: right.dtype)
        } else {
          throw OperatorError(
            .shape, call.target.name,
            "dimensions \(first) and \(second) of sizes \(left.sizes) and \(right.sizes) do not match")
        }
      }
      let free = (
        left.sizes.indices.filter { !dimensions.0.contains($0) },
        right.sizes.indices.filter { !dimensions.1.contains($0) }
      )
      let (rows, columns) = (free.0.map { left.sizes[$0] }, free.1.map { right.sizes[$0] })
      let inner = dimensions.0.reduce(SymInt(1)) { $0 * left.sizes[$1] }
      let product = try left.permute(free.0 + dimensions.0).reshape([rows.reduce(1, *), inner])
        .mm(right.permute(dimensions.1 + free.1).reshape([inner, columns.reduce(1, *)]))
      return .reference(try product.reshape(rows + columns))
    })

  /// Σ i1 · i2 · i3 over `sumdim`, each operand first given dimensions of size 1 at its `expand` places.
  public static let trilinear: OperatorDefinition = .decomposed(
    """
    _trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, \
    int unroll_dim=1) -> Tensor
    """
  ) { call in
    let factors = try (0..<3).map { operand in
      try call.ints(operand + 3).sorted().reduce(call.tensor(operand)) { try $0.unsqueeze($1) }
    }
    guard factors.allSatisfy({ $0.rank == factors[0].rank }) else {
      throw OperatorError(
        .shape, call.target.name, "needs operands of one rank, expanded: got sizes \(factors.map(\.sizes))")
    }
    let summed = try call.dimensions(6, of: factors[0])
    // What the third lacks can be summed in the product of the first two.
    let ending = summed.filter { factors[2].sizes[$0] == 1 }
    let product = try factors[0].product(factors[1], summedOver: ending)
    let result = try product.product(factors[2], summedOver: summed.filter { !ending.contains($0) })
    return .reference(try summed.isEmpty ? result : result.squeeze(summed))
  }
  .derivative(of: "i1", saving: ["i2", "i3"]) { d in
    try trilinear(
      .reference(d.gradient), d["i2"], d["i3"], d["sumdim"], d["expand2"], d["expand3"], d["expand1"])
  }
  .derivative(of: "i2", saving: ["i1", "i3"]) { d in
    try trilinear(
      d["i1"], .reference(d.gradient), d["i3"], d["expand1"], d["sumdim"], d["expand3"], d["expand2"])
  }
  .derivative(of: "i3", saving: ["i1", "i2"]) { d in
    try trilinear(
      d["i1"], d["i2"], .reference(d.gradient), d["expand1"], d["expand2"], d["sumdim"], d["expand3"])
  }

  /// input1ᵀ @ weight[o] @ input2 + bias[o]: [..., in1], [..., in2], [out, in1, in2], [out] → [..., out]
  public static let bilinear = OperatorDefinition(
    "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor",
    .composite { call in
      let (left, right, weight) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
      let bias = try call.optionalTensor(3)
      guard weight.rank == 3, left.rank > 0, left.sizes.dropLast() == right.sizes.dropLast(),
        left.sizes.last == weight.sizes[1], right.sizes.last == weight.sizes[2],
        bias.map({ $0.sizes == [weight.sizes[0]] }) ?? true, left.dtype == right.dtype, left.dtype == weight.dtype
      else {
        throw OperatorError(
          .shape, call.target.name,
          "needs inputs [..., in1] and [..., in2], weight [out, in1, in2] and bias [out] of one dtype, got sizes"
            + " \(call.allTensors.map(\.sizes)) of \(call.allTensors.map(\.dtype))")
      }
      let batch = left.sizes.dropLast().reduce(SymInt(1), *)
      let product = try trilinear(
        .reference(left.reshape([batch, weight.sizes[1]])), .reference(weight),
        .reference(right.reshape([batch, weight.sizes[2]])), Value([1, 3]), Value([0]), Value([1, 2]), Value([2, 3]))
      let result = try product.reshape(left.sizes.dropLast() + [weight.sizes[0]])
      return .reference(try bias.map { try result + $0 } ?? result)
    })
}

extension Tensor {
  /// The product of two tensors of one rank, broadcast, summed over dimensions, which stay in size 1: a product of batches of
  /// matrices where both have a dimension to be summed over.
  func product(_ other: Tensor, summedOver dimensions: [Int]) throws -> Tensor {
    var (left, right) = (self, other)
    func isWide(_ tensor: Tensor, _ dimension: Int) -> Bool { tensor.sizes[dimension] != 1 }
    let shared = dimensions.filter { isWide(left, $0) && isWide(right, $0) }
    let onlyLeft = dimensions.filter { isWide(left, $0) && !isWide(right, $0) }
    let onlyRight = dimensions.filter { !isWide(left, $0) && isWide(right, $0) }
    if !onlyLeft.isEmpty { left = try left.sum(onlyLeft, keepDimensions: true) }
    if !onlyRight.isEmpty { right = try right.sum(onlyRight, keepDimensions: true) }
    if shared.isEmpty { return try left * right }

    let kept = left.sizes.indices.filter { !shared.contains($0) }
    let batch = kept.filter { isWide(left, $0) && isWide(right, $0) }
    let rows = kept.filter { isWide(left, $0) && !isWide(right, $0) }
    let columns = kept.filter { !isWide(left, $0) }
    func count(_ dimensions: [Int], _ tensor: Tensor) -> SymInt { dimensions.reduce(1) { $0 * tensor.sizes[$1] } }
    let (batches, inner) = (count(batch, left), count(shared, left))
    let product = try left.permute(batch + rows + shared + columns).reshape([batches, count(rows, left), inner])
      .bmm(right.permute(batch + shared + columns + rows).reshape([batches, inner, count(columns, right)]))
    let order = batch + rows + columns + shared
    let sizes = order.map { shared.contains($0) ? 1 : isWide(left, $0) ? left.sizes[$0] : right.sizes[$0] }
    return try product.reshape(sizes).permute(order.indices.map { place in order.firstIndex(of: place) ?? place })
  }

  /// Products summed over pairs of dimensions; what is left of this tensor comes first.
  public func tensordot(_ other: Tensor, _ dimensions: [Int], _ otherDimensions: [Int]) throws -> Tensor {
    try OperatorLibrary.tensordot(.reference(self), .reference(other), Value(dimensions), Value(otherDimensions))
  }

  /// Products summed over the last dimension of both.
  public func inner(_ other: Tensor) throws -> Tensor { try OperatorLibrary.inner(.reference(self), .reference(other)) }

  /// this @ weight[o] @ other + bias[o]: [..., in1], [..., in2], [out, in1, in2], [out] → [..., out]
  public func bilinear(_ other: Tensor, _ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
    try OperatorLibrary.bilinear(
      .reference(self), .reference(other), .reference(weight), bias.map { .reference($0) } ?? .none)
  }

  /// Products of operands whose dimensions are named by letters, as in "bij,bjk->bik", summed over what the result lacks.
  public static func einsum(_ equation: String, _ operands: Tensor...) throws -> Tensor {
    try OperatorLibrary.einsum(.string(equation), .list(operands.map { .reference($0) }))
  }
}

extension Call where Reference == Tensor {
  /// Dimensions of a tensor, each named once.
  fileprivate func dimensions(_ position: Int, of tensor: Tensor) throws -> [Int] {
    let result = try ints(position).map {
      try target.normalizedDimension($0, rank: tensor.rank, parameter: target.schema.parameters[position].name)
    }
    guard tensor.rank > 0 || result.isEmpty, Set(result).count == result.count else {
      throw mismatch(position, "dimensions of sizes \(tensor.sizes), each once")
    }
    return result
  }
}
