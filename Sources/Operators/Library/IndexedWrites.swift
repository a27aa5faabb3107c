import GraphIR
import LoopIR
import TensorCore

// Writing the slices along one dimension that a vector of indices names.
extension OperatorLibrary {
  static let indexedWrites = [indexAdd, indexCopy, indexFill, indexFillTensor, indexReduce]

  /// A copy of `self` with alpha · source added to the slices that a vector of indices names.
  public static let indexAdd = indexing(
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", .sum
  )
  .decomposition { try put($0, $0.tensor(3).scaled(by: $0.scalar(4)), accumulating: true) }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "source", saving: ["index"]) { d in
    try indexSelect(.reference(d.gradient), d["dim"], d["index"]).expand(d.sizes("source"))
      .scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

  /// A copy of `self` in which `source` takes the place of the slices that a vector of indices names.
  public static let indexCopy = indexing(
    "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor", indices: [.int64]
  )
  .decomposition { try put($0, $0.tensor(3)) }
  .derivative(of: "self", saving: ["index"]) { d in
    try indexFill(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .derivative(of: "source", saving: ["index"]) { d in
    try indexSelect(.reference(d.gradient), d["dim"], d["index"]).reshape(d.sizes("source"))
  }
  .inPlaceVariant()

  /// A copy of `self` with one number in the slices that a vector of indices names; negative ones count from the end.
  public static let indexFill: OperatorDefinition = indexing(
    "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", indices: [.int64], wraps: true
  )
  .decomposition { try put($0, .scalar($0.scalar(3), dtype: $0.tensor(0).dtype, device: $0.tensor(0).device)) }
  .derivative(of: "self", saving: ["index"]) { d in
    try indexFill(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .inPlaceVariant()

  /// `self` with a source put in the slices that argument 2 names.
  private static func put(_ call: OperatorCall, _ source: Tensor, accumulating: Bool = false) throws -> Value {
    let input = try call.tensor(0)
    let index = try call.tensor(2).reshape([-1])
    if input.rank == 0 {
      let result = try input.unsqueeze(0).indexPut([index], source.reshape([-1]), accumulate: accumulating)
      return .reference(try result.squeeze(0))
    }
    let before = [Tensor?](repeating: nil, count: try call.dimension(1, rank: input.rank))
    return .reference(try input.indexPut(before + [index], source, accumulate: accumulating))
  }

  /// As `index_fill.int_Scalar`, with the element of a tensor without dimensions.
  public static let indexFillTensor = indexing(
    "index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor", indices: [.int64], wraps: true
  )
  .derivative(of: "self", saving: ["index"]) { d in
    try indexFill(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .derivative(of: "value", saving: ["index"]) { d in
    let isFilled = try indexFill(.reference(d.gradient.zerosLike(dtype: .bool)), d["dim"], d["index"], .bool(true))
    return try isFilled.selecting(d.gradient, 0.0).sum()
  }
  .inPlaceVariant()

  /// A copy of `self` with the slices of `source` that go to one place brought together; what is there has no part in it
  /// unless `include_self`.
  public static let indexReduce: OperatorDefinition = indexing(
    """
    index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor
    """, names: indexReductions
  )
  .derivative(of: "self", "source", saving: ["self", "index", "source", "result"]) { d -> [Value] in
    let (dimension, index) = (d["dim"], d["index"])
    let scatter = ReducedScatter(
      context: d, rule: ScatterRule(d.call.target.schema, .replace, names: indexReductions),
      source: try d.tensor("source"),
      gather: { try indexSelect(.reference($0), dimension, index) },
      add: { try indexAdd(.reference($0), dimension, index, .reference($1)) },
      multiply: { try indexReduce(.reference($0), dimension, index, .reference($1), .string("prod"), .bool($2)) },
      clear: { try indexFill(.reference($0), dimension, .reference(d.tensor("index").to(.int64)), .int(0)) })
    let gradients = try scatter.gradients()
    return [.reference(gradients.input), .reference(gradients.source)]
  }
  .inPlaceVariant()

  private static let indexReductions: [String: ScatterReduction] = [
    "prod": .product, "mean": .mean, "amax": .maximum, "amin": .minimum,
  ]

  /// - Parameters:
  ///   - indices: The dtypes that indices may have.
  ///   - wraps: Whether negative indices count from the end.
  private static func indexing(
    _ schema: String, _ fixed: ScatterReduction = .replace, names: [String: ScatterReduction] = [:],
    indices: [DType] = [.int64, .int32], wraps: Bool = false
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: schema)
    let rule = ScatterRule(schema, fixed, names: names)
    let takesSource = schema.index(of: "source") != nil
    return OperatorDefinition(
      schema: schema, traits: .checksElements,
      .kernel(
        shape: { call in
          let (input, count) = (try call.tensor(0), try call.indexCount(allows: indices))
          let dimension = try call.dimension(1, rank: input.rank)
          if takesSource {
            try call.checkSlices(
              of: input, along: dimension, count: count, isLenient: fixed == .replace && names.isEmpty)
          } else if let value = call.arguments[3].reference {
            guard value.rank == 0 else { throw call.mismatch(3, "a tensor without dimensions") }
          } else {
            _ = try call.scalar(3, fitting: input.dtype)
          }
          _ = try rule.reduction(call)
          if !names.isEmpty, input.dtype == .bool {
            throw OperatorError(.dtype, call.target.name, "is not defined for bool")
          }
          let layout = takesSource ? Layout(contiguous: input.sizes) : input.layout.copied()
          return [TensorMeta(dtype: input.dtype, layout: layout, device: input.device)]
        },
        lowering: { call, results, builder in
          // Whatever the indices, nothing is added to nothing.
          if fixed == .sum && results[0].elementCount == 0 { return }
          let dimension = try call.dimension(1, rank: results[0].sizes.count)
          let indices = try call.reference(2).asVector
          let alpha = try schema.index(of: "alpha").map(call.scalar) ?? 1
          let source: LoopBuilder.ScatterSource =
            if let operand = call.arguments[3].reference {
              .operand(operand)
            } else {
              .number(try call.scalar(3, fitting: results[0].dtype))
            }
          try builder.scatter(source, into: results[0], of: call, by: rule) { result in
            let result = result.asVector
            var sizes = result.sizes
            sizes[dimension] = indices.elementCount
            var (place, index) = result.indexed(dimension, by: indices.spread(along: dimension, of: sizes))
            index.wraps = wraps
            return (place, index)
          } _: {
            alpha.doubleValue == 1 ? $0 : $0 * .constant(alpha.converted(to: results[0].dtype))
          }
        }))
  }
}

extension Call where Reference == Tensor {
  /// Argument 3 must hold as many slices of `input` along a dimension as there are indices.
  ///
  /// - Parameter isLenient: Whether a tensor of one element and no dimensions stands for a vector, and the other way round.
  fileprivate func checkSlices(of input: Tensor, along dimension: Int, count: SymInt, isLenient: Bool) throws {
    let source = try tensor(3)
    var expected = input.sizes
    if input.rank > 0 { expected[dimension] = count }
    let fits =
      input.rank == 0
      ? source.sizes == [] && count == 1 || isLenient && source.sizes == [count]
      : source.sizes == expected || isLenient && input.rank == 1 && source.rank == 0 && count == 1
    guard fits else {
      throw OperatorError(
        .shape, target.name,
        "'source' must have the sizes \(expected), got \(source.sizes) for \(count) indices")
    }
    guard source.dtype == input.dtype else {
      throw OperatorError(
        .dtype, target.name, "'source' must have the dtype \(input.dtype) of 'self', got \(source.dtype)")
    }
  }
}

extension Tensor {
  /// A copy with alpha · source added to the slices that a vector of indices names.
  public func indexAdd(_ dimension: Int, _ index: Tensor, _ source: Tensor, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.indexAdd(
      .reference(self), Value(dimension), .reference(index), .reference(source), Value(alpha))
  }

  @discardableResult
  public func indexAdd_(_ dimension: Int, _ index: Tensor, _ source: Tensor, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.indexAdd.inPlace(
      .reference(self), Value(dimension), .reference(index), .reference(source), Value(alpha))
  }

  /// A copy in which `source` takes the place of the slices that a vector of indices names.
  public func indexCopy(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.indexCopy(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  /// A copy with one number in the slices that a vector of indices names; negative ones count from the end.
  public func indexFill(_ dimension: Int, _ index: Tensor, _ value: some TensorOperand) throws -> Tensor {
    let value = value.operandValue
    return try (value.scalar == nil ? OperatorLibrary.indexFillTensor : OperatorLibrary.indexFill)(
      .reference(self), Value(dimension), .reference(index), value)
  }

  /// A copy in which the slices of `source` that go to one place are brought together by `reduce`: "prod", "mean", "amax"
  /// or "amin".
  public func indexReduce(
    _ dimension: Int, _ index: Tensor, _ source: Tensor, reduce: String, includeSelf: Bool = true
  ) throws -> Tensor {
    try OperatorLibrary.indexReduce(
      .reference(self), Value(dimension), .reference(index), .reference(source), .string(reduce), .bool(includeSelf))
  }
}
