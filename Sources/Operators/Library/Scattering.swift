import GraphIR
import LoopIR
import TensorCore

// Writing along one dimension at places that a tensor of indices names, an index per element.
extension OperatorLibrary {
  static let scatters = [
    scatter, scatterValue, scatterAdd, scatterWithReduction, scatterValueWithReduction, scatterReduce,
  ]

  /// A copy of `self` with self[index[i][j]][j] = src[i][j] along dimension 0, and so on for others.
  public static let scatter = scattering("scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor")
    .derivative(of: "self", saving: ["index"]) { d in
      try scatterValue(.reference(d.gradient), d["dim"], d["index"], .int(0))
    }
    .derivative(of: "src", saving: ["index"]) { d in
      try gather(.reference(d.gradient), d["dim"], d["index"]).padded(to: d.sizes("src"))
    }
    .inPlaceVariant()

  /// As `scatter`, writing one number.
  public static let scatterValue: OperatorDefinition = scattering(
    "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor"
  )
  .derivative(of: "self", saving: ["index"]) { d in
    try scatterValue(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .inPlaceVariant()

  /// As `scatter`, adding to what is there; an index may come up several times.
  public static let scatterAdd = scattering(
    "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", .sum
  )
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "src", saving: ["index"]) { d in
    try gather(.reference(d.gradient), d["dim"], d["index"]).padded(to: d.sizes("src"))
  }
  .inPlaceVariant()

  /// As `scatter`, adding to or multiplying what is there. It has no derivative: `scatter_reduce` has.
  public static let scatterWithReduction = scattering(
    "scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor", names: addOrMultiply
  )
  .inPlaceVariant()

  /// As `scatter.value`, adding to or multiplying what is there. It has no derivative.
  public static let scatterValueWithReduction = scattering(
    "scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
    names: addOrMultiply
  )
  .inPlaceVariant()

  private static let addOrMultiply: [String: ScatterReduction] = ["add": .sum, "multiply": .product]

  /// As `scatter`, the elements of one place brought together; those that are there have no part in it unless
  /// `include_self`.
  public static let scatterReduce: OperatorDefinition = scattering(
    "scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
    names: scatterReductions
  )
  .derivative(of: "self", "src", saving: ["self", "index", "src", "result"]) { d -> [Value] in
    let (dimension, index) = (d["dim"], d["index"])
    let source = try d.tensor("src")
    let scatter = ReducedScatter(
      context: d, rule: ScatterRule(d.call.target.schema, .replace, names: scatterReductions),
      source: try source.cropped(to: d.sizes("index")),
      gather: { try gather(.reference($0), dimension, index) },
      add: { try scatterAdd(.reference($0), dimension, index, .reference($1)) },
      multiply: { try scatterReduce(.reference($0), dimension, index, .reference($1), .string("prod"), .bool($2)) },
      clear: { try scatterValue(.reference($0), dimension, index, .int(0)) })
    let gradients = try scatter.gradients()
    return [.reference(gradients.input), .reference(try gradients.source.padded(to: source.sizes))]
  }
  .inPlaceVariant()

  private static let scatterReductions: [String: ScatterReduction] = [
    "sum": .sum, "prod": .product, "mean": .mean, "amax": .maximum, "amin": .minimum,
  ]

  private static func scattering(
    _ schema: String, _ fixed: ScatterReduction = .replace, names: [String: ScatterReduction] = [:]
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: schema)
    let rule = ScatterRule(schema, fixed, names: names)
    return OperatorDefinition(
      schema: schema, traits: .checksElements,
      .kernel(
        shape: { call in
          let (input, index) = (try call.tensor(0), try call.tensor(2))
          let dimension = try call.dimension(1, rank: input.rank)
          try call.checkIndex(2, allows: [.int64, .int32])
          try call.checkIndexShape(index, within: input, along: dimension)
          if let source = call.arguments[3].reference {
            try call.checkSource(source, covers: index, of: input)
          } else {
            _ = try call.scalar(3)
            if !index.layout.isEmpty { _ = try call.scalar(3, fitting: input.dtype) }
          }
          if try rule.reduction(call) == .mean, input.dtype == .bool {
            throw OperatorError(.dtype, call.target.name, "a mean is not defined for bool")
          }
          return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device)]
        },
        lowering: { call, results, builder in
          let indices = try call.reference(2)
          if indices.elementCount == 0 {
            return try builder.update(results[0], from: call.reference(0), sums: false) { _, _ in }
          }
          let dimension = try call.dimension(1, rank: results[0].sizes.count)
          let source: LoopBuilder.ScatterSource
          if var operand = call.arguments[3].reference?.asVector {
            operand.sizes = indices.asVector.sizes
            source = .operand(operand)
          } else {
            source = .number(try call.scalar(3, fitting: results[0].dtype))
          }
          try builder.scatter(source, into: results[0], of: call, by: rule) {
            $0.asVector.indexed(dimension, by: indices.asVector)
          }
        }))
  }
}

extension Call where Reference == Tensor {
  fileprivate func checkSource(_ source: Tensor, covers index: Tensor, of input: Tensor) throws {
    guard source.dtype == input.dtype else {
      throw OperatorError(
        .dtype, target.name, "'src' must have the dtype \(input.dtype) of 'self', got \(source.dtype)")
    }
    if index.layout.isEmpty { return }
    // A number counts as one element along one dimension.
    let (wanted, given) = (index.rank == 0 ? [1] : index.sizes, source.rank == 0 ? [1] : source.sizes)
    guard wanted.count == given.count, zip(wanted, given).allSatisfy({ $0 <= $1 }) else {
      throw OperatorError(
        .shape, target.name, "'src' of sizes \(source.sizes) must not be smaller than 'index' of sizes \(index.sizes)")
    }
  }
}

extension Tensor {
  /// This tensor with zeros after it in each dimension, up to larger sizes.
  fileprivate func padded(to wanted: [SymInt]) throws -> Tensor {
    if sizes == wanted { return self }
    if layout.isEmpty { return try newZeros(wanted) }
    if rank != wanted.count { return try reshape(wanted) }
    let padding = wanted.indices.reversed().flatMap { [SymInt(0), wanted[$0] - sizes[$0]] }
    return try OperatorLibrary.constantPad(.reference(self), Value(padding), .int(0))
  }

  /// The first elements of each dimension, down to smaller sizes.
  fileprivate func cropped(to wanted: [SymInt]) throws -> Tensor {
    if sizes == wanted { return self }
    if wanted.contains(0) { return try newZeros(wanted) }
    if rank != wanted.count { return try reshape(wanted) }
    return try wanted.indices.reduce(self) { try $0.slice($1, from: 0, to: wanted[$1].value) }
  }

  /// A copy with self[index[i][j]][j] = source[i][j] along dimension 0, and so on for others.
  public func scatter(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatter(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  @discardableResult
  public func scatter_(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatter.inPlace(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  /// As `scatter`, writing one number.
  public func scatter(_ dimension: Int, _ index: Tensor, value: Scalar) throws -> Tensor {
    try OperatorLibrary.scatterValue(.reference(self), Value(dimension), .reference(index), Value(value))
  }

  /// As `scatter`, adding to what is there.
  public func scatterAdd(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatterAdd(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  @discardableResult
  public func scatterAdd_(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatterAdd.inPlace(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  /// As `scatter`, the elements of one place brought together by `reduce`: "sum", "prod", "mean", "amax" or "amin".
  public func scatterReduce(
    _ dimension: Int, _ index: Tensor, _ source: Tensor, reduce: String, includeSelf: Bool = true
  ) throws -> Tensor {
    try OperatorLibrary.scatterReduce(
      .reference(self), Value(dimension), .reference(index), .reference(source), .string(reduce), .bool(includeSelf))
  }

  @discardableResult
  public func scatterReduce_(
    _ dimension: Int, _ index: Tensor, _ source: Tensor, reduce: String, includeSelf: Bool = true
  ) throws -> Tensor {
    try OperatorLibrary.scatterReduce.inPlace(
      .reference(self), Value(dimension), .reference(index), .reference(source), .string(reduce), .bool(includeSelf))
  }
}
