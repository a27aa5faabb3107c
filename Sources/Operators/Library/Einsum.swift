import GraphIR
import TensorCore

extension OperatorLibrary {
  static let einsums = [einsum]

  /// Products of operands whose dimensions are named by letters, summed over the letters that the result lacks. `path` names
  /// the pairs of operands to multiply, in turn; a product goes behind the operands that are left.
  public static let einsum = OperatorDefinition(
    "einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
    .composite { call in
      let operands = try call.tensors(1)
      let equation = try EinsumEquation(parsing: call.string(0), call.target.name)
      guard equation.operands.count == operands.count else {
        throw OperatorError(
          .argument, call.target.name,
          "the equation '\(try call.string(0))' is of \(equation.operands.count) operands, got \(operands.count)")
      }
      let space = try EinsumSpace(equation, operands.map(\.sizes), call)
      var factors = try zip(operands, equation.operands).map { try space.aligned($0, $1) }
      for (first, second) in try contractionPairs(call, count: operands.count) {
        let (left, right) = (factors[first], factors[second])
        factors = factors.indices.filter { $0 != first && $0 != second }.map { factors[$0] }
        // A summed dimension that no other operand has is over with this product.
        let ending = (space.outputRank..<space.rank).filter { dimension in
          factors.allSatisfy { $0.sizes[dimension] == 1 }
        }
        factors.append(try left.product(right, summedOver: ending))
      }
      let summed = Array(space.outputRank..<space.rank)
      let rest = summed.filter { factors[0].sizes[$0] != 1 }
      let result = try rest.isEmpty ? factors[0] : factors[0].sum(rest, keepDimensions: true)
      return .reference(try summed.isEmpty ? result : result.squeeze(summed))
    })

  /// The operands to multiply in each step, those before taken away and their product behind.
  private static func contractionPairs(_ call: OperatorCall, count: Int) throws -> [(Int, Int)] {
    guard let path = try call.optionalInts(2) else {
      // From left to right: the product so far comes last.
      return (1..<Swift.max(count, 1)).map { step in step == 1 ? (0, 1) : (count - step, 0) }
    }
    guard path.count == (count == 1 ? 1 : 2 * (count - 1)) else {
      throw OperatorError(
        .argument, call.target.name, "argument 'path' must name \(count - 1) pairs of operands, got \(path)")
    }
    return try (1..<count).map { step in
      let (first, second) = (path[2 * step - 2], path[2 * step - 1])
      let left = 0...(count - step)
      guard left.contains(first), left.contains(second), first != second else {
        throw OperatorError(
          .argument, call.target.name,
          "argument 'path' names the operands \(first) and \(second), where two of \(left) are needed")
      }
      return (first, second)
    }
  }
}

/// The dimensions that all operands of an einsum are brought to: the result's, then the summed ones.
private struct EinsumSpace {
  private let equation: EinsumEquation
  private let call: OperatorCall
  private let ellipsisRank: Int
  /// The first dimension of each subscript.
  private var places: [EinsumEquation.Subscript: Int] = [:]
  let outputRank: Int
  private(set) var rank = 0

  init(_ equation: EinsumEquation, _ shapes: [[SymInt]], _ call: OperatorCall) throws {
    self.equation = equation
    self.call = call
    guard !shapes.isEmpty else { throw OperatorError(.argument, call.target.name, "needs at least one operand") }
    var ellipsisRank = 0
    for (shape, subscripts) in zip(shapes, equation.operands) {
      let letters = subscripts.count { $0 != .ellipsis }
      let hasEllipsis = subscripts.contains(.ellipsis)
      guard hasEllipsis ? shape.count >= letters : shape.count == letters else {
        throw OperatorError(
          .shape, call.target.name, "\(letters) subscripts do not name the dimensions of an operand of sizes \(shape)")
      }
      if hasEllipsis { ellipsisRank = max(ellipsisRank, shape.count - letters) }
    }
    self.ellipsisRank = ellipsisRank
    func rank(_ subscripts: [EinsumEquation.Subscript]) -> Int {
      subscripts.reduce(0) { $0 + ($1 == .ellipsis ? ellipsisRank : 1) }
    }
    outputRank = rank(equation.output)
    let unnamed: [EinsumEquation.Subscript] =
      ellipsisRank > 0 && !equation.output.contains(.ellipsis) ? [.ellipsis] : []
    for name in equation.output + unnamed + equation.summed {
      places[name] = self.rank
      self.rank += name == .ellipsis ? ellipsisRank : 1
    }
    try check(shapes)
  }

  /// - Throws: `OperatorError` where a letter has several sizes, other than 1.
  private func check(_ shapes: [[SymInt]]) throws {
    var sizes = [SymInt](repeating: 1, count: rank)
    for (shape, subscripts) in zip(shapes, equation.operands) {
      for (size, place) in zip(shape, dimensions(of: subscripts, rank: shape.count)) where size != 1 {
        guard sizes[place] == 1 || sizes[place] == size else {
          throw OperatorError(
            .shape, call.target.name,
            "sizes \(sizes[place]) and \(size) of one subscript do not broadcast, for operands of sizes \(shapes)")
        }
        sizes[place] = size
      }
    }
  }

  /// The dimension of this space that each dimension of an operand is.
  private func dimensions(of subscripts: [EinsumEquation.Subscript], rank: Int) -> [Int] {
    let spread = rank - subscripts.count { $0 != .ellipsis }
    return subscripts.flatMap { name -> [Int] in
      guard let place = places[name] else { return [] }
      // An ellipsis of fewer dimensions stands for the last of them.
      return name == .ellipsis ? Array(place + ellipsisRank - spread..<place + ellipsisRank) : [place]
    }
  }

  /// An operand with this space's dimensions, of size 1 where it has none; of dimensions with one name, the diagonal.
  func aligned(_ operand: Tensor, _ subscripts: [EinsumEquation.Subscript]) throws -> Tensor {
    var result = operand
    var places = dimensions(of: subscripts, rank: operand.rank)
    var next = 0
    while next < places.count {
      guard let earlier = places[..<next].firstIndex(of: places[next]) else {
        next += 1
        continue
      }
      guard result.sizes[earlier] == result.sizes[next] else {
        throw OperatorError(
          .shape, call.target.name,
          "sizes \(result.sizes[earlier]) and \(result.sizes[next]) of a repeated subscript differ, for an operand of"
            + " sizes \(operand.sizes)")
      }
      result = try result.diagonal(earlier, next)
      let place = places.remove(at: next)
      places.remove(at: earlier)
      places.append(place)
      next -= 1
    }
    result = try result.permute(places.indices.sorted { places[$0] < places[$1] })
    for place in 0..<rank where !places.contains(place) { result = try result.unsqueeze(place) }
    return result
  }
}
