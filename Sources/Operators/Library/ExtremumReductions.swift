import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let extremumReductions = [amax, amin, maxAll, minAll, max, min, argmax, argmin, aminmax]

  // A NaN among the elements is the extremum. Of the gradient, equal extrema get equal shares.

  /// The largest element over dimensions; none means all.
  public static let amax = extremum("amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", .maximum)
  public static let amin = extremum("amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", .minimum)
  public static let maxAll = extremum("max(Tensor self) -> Tensor", .maximum)
  public static let minAll = extremum("min(Tensor self) -> Tensor", .minimum)

  /// The largest element along a dimension, and the index of the first such. The gradient goes to that index alone.
  public static let max = indexedExtremum("max", .maximum, .argmax)
  public static let min = indexedExtremum("min", .minimum, .argmin)

  /// The index of the first largest element, along a dimension or among all in row-major order; int64.
  public static let argmax = extremumIndex("argmax", .argmax)
  public static let argmin = extremumIndex("argmin", .argmin)

  /// The smallest and the largest element.
  public static let aminmax: OperatorDefinition = {
    let schema = OperatorSchema(
      wellFormed: "aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)")
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          try rule.checkNotEmpty(call)
          let meta = try rule.meta(call, dtype: try call.tensor(0).dtype)
          return [meta, meta]
        },
        lowering: { call, results, builder in
          let dtype = try call.reference(0).dtype
          try rule.lower(
            call, to: results, &builder, values: [folding(.minimum, dtype), folding(.maximum, dtype)],
            finish: [.reduced(0), .reduced(1)])
        })
    )
    .derivative(saving: ["self", "result0", "result1"]) { d in
      var total: Tensor?
      for (gradient, result) in zip(d.gradients, d.results) {
        guard let gradient else { continue }
        let share = try rule.sharedGradient(gradient, result, d)
        total = try total?.add(share) ?? share
      }
      return total
    }
  }()

  private static func extremum(
    _ text: String, _ operation: LoopKernel.Reduction.Operation
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          try rule.checkNotEmpty(call)
          return [try rule.meta(call, dtype: try call.tensor(0).dtype)]
        },
        lowering: { call, results, builder in
          let value = folding(operation, try call.reference(0).dtype)
          try rule.lower(call, to: results, &builder, values: [value], finish: [.reduced(0)])
        })
    )
    .derivative(saving: ["self", "result"]) { d in
      try rule.sharedGradient(d.gradient, d.result, d, amongNaN: schema.index(of: "dim") == nil)
    }
  }

  private static func indexedExtremum(
    _ name: String, _ operation: LoopKernel.Reduction.Operation, _ position: LoopKernel.Reduction.Operation
  ) -> OperatorDefinition {
    let schema = OperatorSchema(
      wellFormed: "\(name).dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)")
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          try rule.checkNotEmpty(call)
          let dtype = try call.tensor(0).dtype
          return [try rule.meta(call, dtype: dtype), try rule.meta(call, dtype: .int64)]
        },
        lowering: { call, results, builder in
          let dtype = try call.reference(0).dtype
          try rule.lower(
            call, to: results, &builder, values: [folding(operation, dtype), folding(position, dtype)],
            finish: [.reduced(0), .reduced(1)])
        })
    )
    .derivative(saving: ["result1"]) { d in try rule.gradientAtIndices(d.gradient, d.results[1], d) }
  }

  private static func extremumIndex(
    _ name: String, _ operation: LoopKernel.Reduction.Operation
  ) -> OperatorDefinition {
    let schema = OperatorSchema(
      wellFormed: "\(name)(Tensor self, int? dim=None, bool keepdim=False) -> Tensor")
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          try rule.checkNotEmpty(call)
          try call.refuseBool(call.tensor(0))
          return [try rule.meta(call, dtype: .int64)]
        },
        lowering: { call, results, builder in
          let value = folding(operation, try call.reference(0).dtype)
          try rule.lower(call, to: results, &builder, values: [value], finish: [.reduced(0)])
        })
    )
    .notDifferentiable()
  }

  // Bool is folded as numbers.
  private static func folding(
    _ operation: LoopKernel.Reduction.Operation, _ dtype: DType
  ) -> LoopKernel.Reduction {
    let folded: DType = dtype == .bool ? .uint8 : dtype
    return LoopKernel.Reduction(operation, folded == dtype ? .load(0) : .cast(folded, .load(0)), dtype: folded)
  }
}

extension Tensor {
  /// The largest element over dimensions, or of all without any named.
  public func amax(_ dimensions: [Int] = [], keepDimensions: Bool = false) throws -> Tensor {
    try OperatorLibrary.amax(.reference(self), Value(dimensions), .bool(keepDimensions))
  }

  public func amin(_ dimensions: [Int] = [], keepDimensions: Bool = false) throws -> Tensor {
    try OperatorLibrary.amin(.reference(self), Value(dimensions), .bool(keepDimensions))
  }

  /// The largest of all elements.
  public func max() throws -> Tensor { try OperatorLibrary.maxAll(.reference(self)) }
  public func min() throws -> Tensor { try OperatorLibrary.minAll(.reference(self)) }

  /// The largest element along a dimension, and the index of the first such.
  public func max(_ dimension: Int, keepDimensions: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.max, Value(dimension), .bool(keepDimensions))
  }

  public func min(_ dimension: Int, keepDimensions: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.min, Value(dimension), .bool(keepDimensions))
  }

  /// The index of the first largest element, along a dimension or among all; int64.
  public func argmax(_ dimension: Int? = nil, keepDimensions: Bool = false) throws -> Tensor {
    try OperatorLibrary.argmax(.reference(self), dimension.map { Value($0) } ?? .none, .bool(keepDimensions))
  }

  public func argmin(_ dimension: Int? = nil, keepDimensions: Bool = false) throws -> Tensor {
    try OperatorLibrary.argmin(.reference(self), dimension.map { Value($0) } ?? .none, .bool(keepDimensions))
  }
}
