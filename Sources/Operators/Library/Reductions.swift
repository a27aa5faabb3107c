import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let reductions = [
    sumAll, sum, meanAll, mean, anyAll, anyDim, anyDims, allAll, allDim, allDims, countNonzero, countNonzeroDims,
    nansum, nanmean, trace,
  ]

  /// The sum of all elements. Integers and bool accumulate and give int64.
  public static let sumAll = summing("sum(Tensor self, *, ScalarType? dtype=None) -> Tensor")
    .decomposition { try sum.call([$0.arguments[0], .list([]), .bool(false), $0.arguments[1]]) }

  /// Sums over dimensions; none, or an empty list, means all.
  public static let sum = summing(
    "sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")

  /// The mean of all elements, of floating-point type.
  public static let meanAll = averaging("mean(Tensor self, *, ScalarType? dtype=None) -> Tensor")
    .decomposition { try mean.call([$0.arguments[0], .list([]), .bool(false), $0.arguments[1]]) }
  public static let mean = averaging(
    "mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
  )
  .decomposition { call in
    let input = try call.tensor(0)
    let rule = ReductionRule(call.target.schema)
    let dtype = try call.optionalDType(3) ?? input.dtype
    let total = try sum(
      .reference(input.converted(to: dtype.accumulator)), call.arguments[1], call.arguments[2])
    return .reference(try total / rule.count(call, sizes: input.shape))
  }

  // Whether any, or all, elements are other than zero. They give bool, but uint8 for uint8.

  public static let anyAll = deciding("any(Tensor self) -> Tensor", .any)
  public static let anyDim = deciding("any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", .any)
  public static let anyDims = deciding("any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", .any)
  public static let allAll = deciding("all(Tensor self) -> Tensor", .all)
    .decomposition { try notAny($0, anyAll) }
  public static let allDim = deciding("all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", .all)
    .decomposition { try notAny($0, anyDim) }
  public static let allDims = deciding("all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", .all)
    .decomposition { try notAny($0, anyDims) }

  /// Whether all are other than zero: none is zero.
  private static func notAny(_ call: OperatorCall, _ any: OperatorDefinition) throws -> Value {
    let isZero = try call.tensor(0).logicalNot()
    return .reference(try any([.reference(isZero)] + call.arguments.dropFirst()).logicalNot())
  }

  // How many elements are other than zero; int64.

  public static let countNonzero = counting("count_nonzero(Tensor self, int? dim=None) -> Tensor")
  public static let countNonzeroDims = counting("count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor")

  /// Sums over dimensions, a NaN counting as 0.
  public static let nansum: OperatorDefinition = {
    let schema = OperatorSchema(
      wellFormed:
        "nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")
    let rule = ReductionRule(schema)
    return folding(schema, rule, .sum) { element, dtype in
      dtype.isFloatingPoint ? select(.unary(.isNaN, element), 0, element) : element
    }
    .derivative(saving: ["self"]) { d in
      try d.tensor("self").isNaN().selecting(0.0, rule.restored(d.gradient, d))
    }
  }()

  /// Means over dimensions of the elements that are not NaN.
  public static let nanmean = OperatorDefinition(
    "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      guard input.dtype.isFloatingPoint else {
        throw OperatorError(.dtype, call.target.name, "is not defined for \(input.dtype)")
      }
      let count = try input.detach().isNaN().logicalNot().sum(call.optionalInts(1), keepDimensions: call.bool(2))
      return .reference(try nansum(call.arguments) / count)
    })

  /// The sum of a matrix's diagonal. Integers give int64.
  public static let trace = OperatorDefinition(
    "trace(Tensor self) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        guard input.rank == 2 else {
          throw OperatorError(.shape, call.target.name, "needs a matrix, got sizes \(input.sizes)")
        }
        try call.refuseBool(input)
        return [
          TensorMeta(dtype: input.dtype.isFloatingPoint ? input.dtype : .int64, sizes: [], device: input.device)
        ]
      },
      lowering: { call, results, builder in
        let matrix = try call.reference(0)
        let diagonal = matrix.viewed(
          as: [Swift.min(matrix.sizes[0], matrix.sizes[1])], strides: [matrix.strides[0] + matrix.strides[1]],
          offset: matrix.offset)
        builder.reduce(.sum, [diagonal], over: [0], to: results[0], accumulating: matrix.dtype.accumulator)
      })
  )
  .derivative { d in
    let sizes = try d.tensor("self").shape
    return try Tensor.eye(sizes[0], sizes[1], dtype: d.gradient.dtype, device: d.gradient.device) * d.gradient
  }

  private static func counting(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in [try rule.meta(call, dtype: .int64)] },
        lowering: { call, results, builder in
          let value = LoopKernel.Reduction(.sum, .cast(.int64, .cast(.bool, .load(0))), dtype: .int64)
          try rule.lower(call, to: results, &builder, values: [value], finish: [.reduced(0)])
        })
    )
    .notDifferentiable()
  }

  private static func summing(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    return folding(schema, rule, .sum)
      .derivative { d in try rule.restored(d.gradient, d).expand(d.sizes("self")) }
  }

  /// A fold in the elements' own type, integers and bool in int64; the last parameter may name another.
  ///
  /// - Parameter element: What is folded of an element of a type.
  static func folding(
    _ schema: OperatorSchema, _ rule: ReductionRule, _ operation: LoopKernel.Reduction.Operation,
    of element: @escaping @Sendable (ScalarExpression, DType) -> ScalarExpression = { element, _ in element }
  ) -> OperatorDefinition {
    let dtypePosition = schema.parameters.count - 1
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0).dtype
          let dtype = try call.optionalDType(dtypePosition) ?? (input.isFloatingPoint ? input : .int64)
          return [try rule.meta(call, dtype: dtype)]
        },
        lowering: { call, results, builder in
          let accumulator = results[0].dtype.accumulator
          let folded = element(.load(0), try call.reference(0).dtype)
          // A number in 0..<1 is true, though it is 0 as an integer.
          let element = results[0].dtype == .bool ? .cast(.bool, folded) : folded
          let value = LoopKernel.Reduction(operation, .cast(accumulator, element), dtype: accumulator)
          try rule.lower(call, to: results, &builder, values: [value], finish: [.reduced(0)])
        }))
  }

  private static func averaging(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    let dtypePosition = schema.parameters.count - 1
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let dtype = try call.optionalDType(dtypePosition) ?? call.tensor(0).dtype
          guard dtype.isFloatingPoint else {
            throw OperatorError(
              .dtype, call.target.name, "is not defined for \(dtype); name a floating-point dtype to compute in")
          }
          return [try rule.meta(call, dtype: dtype)]
        },
        lowering: { call, results, builder in
          let accumulator = results[0].dtype.accumulator
          let count = try rule.count(call, sizes: call.reference(0).sizes)
          let value = LoopKernel.Reduction(.sum, .cast(accumulator, .load(0)), dtype: accumulator)
          try rule.lower(
            call, to: results, &builder, values: [value], finish: [.reduced(0) / .constant(.double(Double(count)))])
        })
    )
    .derivative { d in
      let sizes = try d.sizes("self")
      let count = try rule.count(d.call, sizes: sizes.values)
      return try rule.restored(d.gradient, d).expand(sizes) / count
    }
  }

  private static func deciding(
    _ text: String, _ operation: LoopKernel.Reduction.Operation
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema, emptyMeansAll: false)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in [try rule.meta(call, dtype: try call.tensor(0).dtype == .uint8 ? .uint8 : .bool)] },
        lowering: { call, results, builder in
          let value = LoopKernel.Reduction(operation, .cast(.bool, .load(0)), dtype: .bool)
          try rule.lower(call, to: results, &builder, values: [value], finish: [.reduced(0)])
        })
    )
    .notDifferentiable()
  }
}

extension Tensor {
  /// The sum over dimensions, or of all elements without any named.
  public func sum(_ dimensions: [Int]? = nil, keepDimensions: Bool = false, dtype: DType? = nil) throws -> Tensor {
    if dimensions == nil, !keepDimensions { return try OperatorLibrary.sumAll(.reference(self), Value(dtype)) }
    return try OperatorLibrary.sum(.reference(self), Value(dimensions), .bool(keepDimensions), Value(dtype))
  }

  /// The mean over dimensions, or of all elements without any named.
  public func mean(_ dimensions: [Int]? = nil, keepDimensions: Bool = false, dtype: DType? = nil) throws -> Tensor {
    if dimensions == nil, !keepDimensions { return try OperatorLibrary.meanAll(.reference(self), Value(dtype)) }
    return try OperatorLibrary.mean(.reference(self), Value(dimensions), .bool(keepDimensions), Value(dtype))
  }

  /// Whether any element is other than zero, over dimensions or all.
  public func any(_ dimensions: [Int]? = nil, keepDimensions: Bool = false) throws -> Tensor {
    if dimensions == nil, !keepDimensions { return try OperatorLibrary.anyAll(.reference(self)) }
    return try OperatorLibrary.anyDims(.reference(self), Value(dimensions), .bool(keepDimensions))
  }

  /// Whether all elements are other than zero, over dimensions or all.
  public func all(_ dimensions: [Int]? = nil, keepDimensions: Bool = false) throws -> Tensor {
    if dimensions == nil, !keepDimensions { return try OperatorLibrary.allAll(.reference(self)) }
    return try OperatorLibrary.allDims(.reference(self), Value(dimensions), .bool(keepDimensions))
  }

  /// How many elements are other than zero, over dimensions or of all.
  public func countNonzero(_ dimensions: [Int] = []) throws -> Tensor {
    try OperatorLibrary.countNonzeroDims(.reference(self), Value(dimensions))
  }

  /// The sum over dimensions, or of all elements without any named, a NaN counting as 0.
  public func nansum(_ dimensions: [Int]? = nil, keepDimensions: Bool = false, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.nansum(.reference(self), Value(dimensions), .bool(keepDimensions), Value(dtype))
  }

  /// The mean over dimensions, or of all, of the elements that are not NaN.
  public func nanmean(_ dimensions: [Int]? = nil, keepDimensions: Bool = false, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.nanmean(.reference(self), Value(dimensions), .bool(keepDimensions), Value(dtype))
  }

  /// The sum of a matrix's diagonal.
  public func trace() throws -> Tensor { try OperatorLibrary.trace(.reference(self)) }

  /// Summed over the dimensions that broadcasting from `sizes` added or stretched.
  ///
  /// - Throws: `OperatorError` with code `shape` where `sizes` do not broadcast to this shape.
  public func summed(to sizes: [SymInt]) throws -> Tensor {
    if self.sizes == sizes { return self }
    let added = rank - sizes.count
    guard added >= 0, sizes.indices.allSatisfy({ sizes[$0] == 1 || sizes[$0] == self.sizes[$0 + added] }) else {
      throw OperatorError(.shape, nil, "a gradient of shape \(self.sizes) does not fit a value of shape \(sizes)")
    }
    let stretched = sizes.indices.filter { sizes[$0] == 1 && self.sizes[$0 + added] != 1 }.map { $0 + added }
    let summed = try sum(Array(0..<added) + stretched, keepDimensions: true)
    return added == 0 ? summed : try summed.view(sizes)
  }
}
