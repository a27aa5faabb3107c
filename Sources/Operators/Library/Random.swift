import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let randoms = [
    rand, randn, randint, randintLow, randperm, randLike, randnLike, randintLike, randintLikeLow, uniform, normal,
    bernoulli, bernoulliElementwise, bernoulliTensor,
  ]

  // Each draws from the generator in use (`Generator.use`), every call a fresh range of numbers. In functional graphs its keyed
  // variant stands in its place.

  /// Uniform in 0..<1.
  public static let rand = drawn("rand(SymInt[] size, *, \(factoryOptions)) -> Tensor", dtypeAt: 1) { call, output in
    .uniform(bits: output.dtype)
  }

  /// Standard normal.
  public static let randn = drawn("randn(SymInt[] size, *, \(factoryOptions)) -> Tensor", dtypeAt: 1) { _, _ in .normal
  }

  /// Uniform integers in 0..<high.
  public static let randint = drawn(
    "randint(SymInt high, SymInt[] size, *, \(factoryLongOptions)) -> Tensor", dtypeAt: 2, sizeAt: 1, dtype: .int64
  ) { call, _ in .integer(low: 0, high: try call.int(0)) }

  /// Uniform integers in low..<high.
  public static let randintLow = drawn(
    "randint.low(SymInt low, SymInt high, SymInt[] size, *, \(factoryLongOptions)) -> Tensor", dtypeAt: 3, sizeAt: 2,
    dtype: .int64
  ) { call, _ in .integer(low: try call.int(0), high: try call.int(1)) }

  /// 0..<n in random order, [n].
  public static let randperm = drawn(
    "randperm(SymInt n, *, \(factoryLongOptions)) -> Tensor", dtypeAt: 1, dtype: .int64
  ) { _, _ in .permutation }

  public static let randLike = drawnLike(
    "rand_like(Tensor self, *, \(factoryOptions), MemoryFormat? memory_format=None) -> Tensor", dtypeAt: 1
  ) { _, output in .uniform(bits: output.dtype) }
  .decomposition { .reference(try rand([Value($0.tensor(0).sizes)] + ownOptions($0, at: 1))) }
  .notDifferentiable()

  public static let randnLike = drawnLike(
    "randn_like(Tensor self, *, \(factoryOptions), MemoryFormat? memory_format=None) -> Tensor", dtypeAt: 1
  ) { _, _ in .normal }
  .decomposition { .reference(try randn([Value($0.tensor(0).sizes)] + ownOptions($0, at: 1))) }
  .notDifferentiable()

  /// Uniform integers in 0..<high.
  public static let randintLike = drawnLike(
    "randint_like(Tensor self, SymInt high, *, \(factoryOptions), MemoryFormat? memory_format=None) -> Tensor",
    dtypeAt: 2, accepts: .all
  ) { call, _ in .integer(low: 0, high: try call.int(1)) }
  .notDifferentiable()

  /// Uniform integers in low..<high.
  public static let randintLikeLow = drawnLike(
    """
    randint_like.low_dtype(Tensor self, SymInt low, SymInt high, *, \(factoryOptions), \
    MemoryFormat? memory_format=None) -> Tensor
    """, dtypeAt: 3, accepts: .all
  ) { call, _ in .integer(low: try call.int(1), high: try call.int(2)) }
  .notDifferentiable()

  /// Uniform in from..<to, in the size and type of `self`.
  public static let uniform = drawnLike(
    "uniform(Tensor self, float from=0, float to=1, *, Generator? generator=None) -> Tensor",
    check: { call, dtype in
      let (low, high) = (try call.double(1), try call.double(2))
      guard low <= high, dtype.holds(low), dtype.holds(high), dtype.holds(high - low) else {
        throw OperatorError(.argument, call.target.name, "needs from <= to within \(dtype), got \(low)..<\(high)")
      }
    },
    finish: { call, value in
      let (low, high) = (try call.double(1), try call.double(2))
      return .constant(.double(low)) + value * .constant(.double(high - low))
    }
  ) { _, output in .uniform(bits: output.dtype) }
  .wideDecomposition { call in
    let input = try call.tensor(0)
    let (low, high) = (try call.double(1), try call.double(2))
    return try rand(Value(input.sizes), .dtype(input.dtype)) * (high - low) + low
  }
  .derivative { _ in nil }
  .inPlaceVariant()

  /// Normal of a mean and standard deviation, in the size and type of `self`.
  public static let normal = drawnLike(
    "normal_functional(Tensor self, float mean=0, float std=1, *, Generator? generator=None) -> Tensor",
    check: { call, _ in
      guard try call.double(2) >= 0 else { throw call.mismatch(2, "a standard deviation of 0 or more") }
    },
    finish: { call, value in
      .constant(.double(try call.double(1))) + value * .constant(.double(try call.double(2)))
    }
  ) { _, _ in .normal }
  .wideDecomposition { call in
    let input = try call.tensor(0)
    return try randn(Value(input.sizes), .dtype(input.dtype)) * call.double(2) + call.double(1)
  }
  .derivative { _ in nil }
  .inPlaceVariant(named: "normal_")

  /// 1 with probability p, else 0, in the size and type of `self`.
  public static let bernoulli = drawnLike(
    "bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor", accepts: .all,
    check: { call, _ in _ = try call.probability(1) },
    finish: { call, value in .cast(.int64, value .< .constant(.double(try call.double(1)))) }
  ) { _, _ in .uniform(bits: .float64) }
  .decomposition { call in
    let input = try call.tensor(0)
    return .reference(try rand(Value(input.sizes), .dtype(.float64)).lt(call.double(1)))
  }
  .derivative { _ in nil }
  .inPlaceVariant(overload: "float")

  /// 1 with each element's own probability, else 0.
  public static let bernoulliElementwise = drawnLike(
    "bernoulli(Tensor self, *, Generator? generator=None) -> Tensor", reads: 0,
    finish: { _, value in .cast(.int64, value .< .cast(.float64, .load(1))) }
  ) { _, _ in .uniform(bits: .float64) }
  .decomposition { call in
    let input = try call.tensor(0)
    return .reference(try rand(Value(input.sizes), .dtype(.float64)).lt(input.double()))
  }
  .derivative { try $0.gradient.zerosLike() }

  /// 1 with the probability that `p`, broadcast, has for each element, else 0, in the size and type of `self`.
  public static let bernoulliTensor = drawnLike(
    "bernoulli.Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor", accepts: .all, reads: 1,
    check: { call, _ in
      let (input, p) = (try call.tensor(0), try call.tensor(1))
      guard p.dtype.isFloatingPoint, try call.target.broadcast([p.sizes, input.sizes]) == input.sizes else {
        throw OperatorError(
          .shape, call.target.name,
          "'p' must be floating-point and broadcast to \(input.sizes), got \(p.dtype) \(p.sizes)")
      }
    },
    finish: { _, value in .cast(.int64, value .< .cast(.float64, .load(1))) }
  ) { _, _ in .uniform(bits: .float64) }
  .derivative(of: "self") { _ in nil }
  .derivative(of: "p") { try $0.optionalTensor("p")?.zerosLike() }
  .inPlaceVariant()

  private static let factoryLongOptions = """
    ScalarType? dtype=long, Layout? layout=None, Device? device=None, bool? pin_memory=None
    """

  private static func drawn(
    _ text: String, dtypeAt position: Int, sizeAt sizePosition: Int = 0, dtype: DType = .float32,
    _ distribution: @escaping @Sendable (LoweringCall, Operand) throws -> RandomDraw
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    return OperatorDefinition(
      schema: schema, traits: [.factory, .random],
      .kernel(
        shape: { call in
          let dtype = try call.optionalDType(position) ?? dtype
          let layout = Layout(contiguous: try call.symInts(sizePosition))
          _ = try layout.requiredByteCount(dtype)
          try distribution(call.withoutTensors, .unallocated(dtype)).check(call, dtype: dtype)
          return [TensorMeta(dtype: dtype, layout: layout, device: try call.optionalDevice(position + 2) ?? .cpu)]
        },
        lowering: { call, results, builder in
          let drawn = try distribution(call, results[0]).lower(results[0].sizes, for: call, &builder)
          builder.copy(drawn, to: results[0])
        })
    )
    .drawing { Layout(contiguous: try $0.symInts(sizePosition)).elementCount.value }
    .notDifferentiable()
  }

  /// Random numbers in the size of `self`, and its type where the call has no dtype.
  ///
  /// - Parameters:
  ///   - position: Of the parameter `dtype`; nil where there is none.
  ///   - other: Of a tensor whose elements `finish` needs, broadcast: load 1.
  ///   - finish: Makes the element of what was drawn.
  static func drawnLike(
    _ text: String, dtypeAt position: Int? = nil, accepts: DTypeKinds = .floatingPoint, reads other: Int? = nil,
    check: (@Sendable (OperatorCall, DType) throws -> Void)? = nil,
    finish: @escaping @Sendable (LoweringCall, ScalarExpression) throws -> ScalarExpression = { $1 },
    _ distribution: @escaping @Sendable (LoweringCall, Operand) throws -> RandomDraw
  ) -> OperatorDefinition {
    OperatorDefinition(
      text, traits: .random,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let dtype = try position.flatMap { try call.optionalDType($0) } ?? input.dtype
          let format = try position.flatMap { try call.optionalMemoryFormat($0 + 4) } ?? .preserve
          guard accepts.contains(dtype) else {
            throw OperatorError(.dtype, call.target.name, "is not defined for \(dtype)")
          }
          try check?(call, dtype)
          if position != nil { try distribution(call.withoutTensors, .unallocated(dtype)).check(call, dtype: dtype) }
          return [TensorMeta(dtype: dtype, layout: input.layout.copied(format: format), device: input.device)]
        },
        lowering: { call, results, builder in
          let drawn = try distribution(call, results[0]).lower(results[0].sizes, for: call, &builder)
          let value = try finish(call, .load(0))
          let inputs = try [drawn] + [other].compactMap(\.self).map { try call.reference($0) }
          builder.pointwise(inputs, to: results[0]) { _ in value }
        })
    )
    .drawing { try $0.tensor(0).elementCount }
  }
}

extension Call where Reference == Tensor {
  /// The call as a lowering sees it, but for its tensors.
  var withoutTensors: LoweringCall {
    LoweringCall(target, arguments.map { $0.map { _ in .none } })
  }
}

extension Operand {
  /// Stands for a result of that type before there is one.
  fileprivate static func unallocated(_ dtype: DType) -> Operand {
    Operand(buffer: BufferID(0), dtype: dtype, sizes: [], strides: [])
  }
}

extension Call {
  /// A number in 0...1.
  func probability(_ position: Int) throws -> Double {
    let value = try double(position)
    guard (0...1).contains(value) else { throw mismatch(position, "a probability in 0...1") }
    return value
  }
}

extension Tensor {
  /// Uniform in 0..<1.
  public static func rand(
    _ shape: [Int], dtype: DType = .float32, device: Device = .cpu, generator: Generator? = nil
  ) throws -> Tensor {
    try drawing(generator) { try OperatorLibrary.rand(Value(shape), .dtype(dtype), .none, .device(device)) }
  }

  /// Standard normal.
  public static func randn(
    _ shape: [Int], dtype: DType = .float32, device: Device = .cpu, generator: Generator? = nil
  ) throws -> Tensor {
    try drawing(generator) { try OperatorLibrary.randn(Value(shape), .dtype(dtype), .none, .device(device)) }
  }

  /// Uniform integers in a range.
  public static func randint(
    _ range: Range<Int>, _ shape: [Int], dtype: DType = .int64, device: Device = .cpu, generator: Generator? = nil
  ) throws -> Tensor {
    try drawing(generator) {
      try OperatorLibrary.randintLow(
        Value(range.lowerBound), Value(range.upperBound), Value(shape), .dtype(dtype), .none, .device(device))
    }
  }

  /// 0..<n in random order.
  public static func randperm(_ n: Int, device: Device = .cpu, generator: Generator? = nil) throws -> Tensor {
    try drawing(generator) { try OperatorLibrary.randperm(Value(n), .dtype(.int64), .none, .device(device)) }
  }

  public func randLike() throws -> Tensor { try OperatorLibrary.randLike(.reference(self)) }
  public func randnLike() throws -> Tensor { try OperatorLibrary.randnLike(.reference(self)) }

  /// Overwrites this tensor with numbers uniform in a range.
  @discardableResult
  public func uniform_(from: Double = 0, to: Double = 1, generator: Generator? = nil) throws -> Tensor {
    try Self.drawing(generator) {
      try OperatorLibrary.uniform.inPlace(.reference(self), .double(from), .double(to))
    }
  }

  /// Overwrites this tensor with normal numbers.
  @discardableResult
  public func normal_(mean: Double = 0, std: Double = 1, generator: Generator? = nil) throws -> Tensor {
    try Self.drawing(generator) {
      try OperatorLibrary.normal.inPlace(.reference(self), .double(mean), .double(std))
    }
  }

  /// Overwrites this tensor with ones, of probability p, and zeros.
  @discardableResult
  public func bernoulli_(_ p: Double = 0.5, generator: Generator? = nil) throws -> Tensor {
    try Self.drawing(generator) { try OperatorLibrary.bernoulli.inPlace(.reference(self), .double(p)) }
  }

  static func drawing(_ generator: Generator?, _ body: () throws -> Tensor) rethrows -> Tensor {
    try generator.map { try $0.use(body) } ?? body()
  }
}
