import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let creation = [
    empty, emptyStrided, zeros, ones, full, scalarTensor, eye, eyeRectangular, emptyLike, zerosLike, onesLike, fullLike,
    newEmpty, newEmptyStrided, newZeros, newOnes, newFull,
    emptyPermuted,
  ]

  // What is created without a dtype is float32, or what the number it is filled with is.

  /// New memory. Here it holds zeros: eager and compiled code must not differ.
  public static let empty = created(
    "empty.memory_format(SymInt[] size, *, \(factoryOptions), MemoryFormat? memory_format=None) -> Tensor", dtypeAt: 1,
    layout: { call in
      let sizes = try call.symInts(0)
      let format = try call.fittingMemoryFormat(5, rank: sizes.count) ?? .contiguous
      guard format != .preserve else { throw call.mismatch(5, "an order of dimensions") }
      return Layout(contiguous: sizes).copied(format: format)
    }
  ) { _ in 0 }

  public static let emptyStrided = created(
    "empty_strided(SymInt[] size, SymInt[] stride, *, \(factoryOptions)) -> Tensor", dtypeAt: 2,
    layout: { try stridedLayout($0, at: 0) }
  ) { _ in 0 }

  /// New memory in which the dimensions lie in the order given, outermost first.
  public static let emptyPermuted = created(
    "empty_permuted(SymInt[] size, int[] physical_layout, *, \(factoryOptions)) -> Tensor", dtypeAt: 2,
    layout: { call in
      let (sizes, order) = (try call.symInts(0), try call.ints(1))
      guard order.sorted() == Array(sizes.indices) else { throw call.mismatch(1, "each dimension of \(sizes) once") }
      let dense = Layout.contiguousStrides(order.map { sizes[$0] })
      var strides = sizes
      for (place, dimension) in order.enumerated() { strides[dimension] = dense[place] }
      return Layout(sizes: sizes, strides: strides)
    }
  ) { _ in 0 }

  public static let zeros = created(
    "zeros(SymInt[] size, *, \(factoryOptions)) -> Tensor", dtypeAt: 1,
    layout: { Layout(contiguous: try $0.symInts(0)) }
  ) { _ in 0 }

  public static let ones = created(
    "ones(SymInt[] size, *, \(factoryOptions)) -> Tensor", dtypeAt: 1, layout: { Layout(contiguous: try $0.symInts(0)) }
  ) { _ in 1 }

  public static let full = created(
    "full(SymInt[] size, Scalar fill_value, *, \(factoryOptions)) -> Tensor", dtypeAt: 2,
    layout: { Layout(contiguous: try $0.symInts(0)) }, dtype: { try $0.scalar(1).dtype }, value: 1
  ) { .constant(try $0.scalar(1)) }

  /// A number as a tensor without dimensions.
  public static let scalarTensor = created(
    "scalar_tensor(Scalar s, *, \(factoryOptions)) -> Tensor", dtypeAt: 1, layout: { _ in Layout(contiguous: []) },
    value: 0
  ) { .constant(try $0.scalar(0)) }

  /// The identity matrix, [n, n].
  public static let eye = created(
    "eye(SymInt n, *, \(factoryOptions)) -> Tensor", dtypeAt: 1,
    layout: { call in Layout(contiguous: [SymInt](repeating: SymInt(try call.int(0)), count: 2)) }
  ) { _ in .cast(.int64, .coordinate(0) .== .coordinate(1)) }

  /// The first columns or rows of the identity matrix, [n, m].
  public static let eyeRectangular = created(
    "eye.m(SymInt n, SymInt m, *, \(factoryOptions)) -> Tensor", dtypeAt: 2,
    layout: { Layout(contiguous: [SymInt(try $0.int(0)), SymInt(try $0.int(1))]) }
  ) { _ in .cast(.int64, .coordinate(0) .== .coordinate(1)) }

  // In the size, and unless told otherwise the type and order of dimensions, of another tensor.

  public static let emptyLike = createdLike("empty_like", fill: nil) { _ in 0 }
  public static let zerosLike = createdLike("zeros_like", fill: nil) { _ in 0 }
  public static let onesLike = createdLike("ones_like", fill: nil) { _ in 1 }
  public static let fullLike = createdLike("full_like", fill: "fill_value") { .constant(try $0.scalar(1)) }

  // Of the type of another tensor.

  public static let newEmpty = createdNew("new_empty", fill: nil) { _ in 0 }
  public static let newZeros = createdNew("new_zeros", fill: nil) { _ in 0 }
  public static let newOnes = createdNew("new_ones", fill: nil) { _ in 1 }
  public static let newFull = createdNew("new_full", fill: "fill_value") { .constant(try $0.scalar(2)) }

  public static let newEmptyStrided = created(
    "new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, *, \(factoryOptions)) -> Tensor", dtypeAt: 3,
    layout: { try stridedLayout($0, at: 1) }, dtype: { try $0.tensor(0).dtype }
  ) { _ in 0 }

  static let factoryOptions = """
    ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None
    """

  /// A tensor computed from its index alone. Its options stand in the order dtype, layout, device, pin_memory.
  ///
  /// - Parameters:
  ///   - position: Of the parameter `dtype`.
  ///   - dtype: The type where the call names none.
  ///   - value: The position of a number that has to fit into the type.
  static func created(
    _ schema: String, dtypeAt position: Int, layout: @escaping @Sendable (OperatorCall) throws -> Layout,
    dtype: @escaping @Sendable (OperatorCall) throws -> DType = { _ in .float32 }, value: Int? = nil,
    _ element: @escaping @Sendable (LoweringCall) throws -> ScalarExpression
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: schema)
    let isFactory = !schema.parameters.contains { $0.type == .tensor }
    return OperatorDefinition(
      schema: schema, traits: isFactory ? [.factory, .pointwise] : .pointwise,
      .kernel(
        shape: { call in
          let result = try layout(call)
          _ = try result.requiredByteCount(.float64)
          let device = try call.optionalDevice(position + 2) ?? call.allTensors.first?.device ?? .cpu
          let dtype = try call.optionalDType(position) ?? dtype(call)
          if let value { _ = try call.scalar(value, fitting: dtype) }
          return [TensorMeta(dtype: dtype, layout: result, device: device)]
        },
        lowering: { call, results, builder in
          let value = try element(call)
          builder.pointwise([], to: results[0]) { _ in value }
        })
    )
    .notDifferentiable()
  }

  private static func createdLike(
    _ name: String, fill: String?, _ element: @escaping @Sendable (LoweringCall) throws -> ScalarExpression
  ) -> OperatorDefinition {
    let first = fill == nil ? 1 : 2
    return created(
      """
      \(name)(Tensor self\(fill.map { ", Scalar \($0)" } ?? ""), *, \(factoryOptions), \
      MemoryFormat? memory_format=None) -> Tensor
      """, dtypeAt: first,
      layout: { call in
        let layout = try call.tensor(0).layout
        return layout.copied(format: try call.fittingMemoryFormat(first + 4, rank: layout.rank) ?? .preserve)
      }, dtype: { try $0.tensor(0).dtype }, value: fill == nil ? nil : 1, element)
  }

  private static func createdNew(
    _ name: String, fill: String?, _ element: @escaping @Sendable (LoweringCall) throws -> ScalarExpression
  ) -> OperatorDefinition {
    created(
      "\(name)(Tensor self, SymInt[] size\(fill.map { ", Scalar \($0)" } ?? ""), *, \(factoryOptions)) -> Tensor",
      dtypeAt: fill == nil ? 2 : 3, layout: { Layout(contiguous: try $0.symInts(1)) },
      dtype: { try $0.tensor(0).dtype }, value: fill == nil ? nil : 2, element)
  }

  private static func stridedLayout(_ call: OperatorCall, at position: Int) throws -> Layout {
    let (sizes, strides) = (try call.symInts(position), try call.symInts(position + 1))
    guard sizes.count == strides.count, !strides.contains(where: { $0 < 0 }) else {
      throw OperatorError(
        .argument, call.target.name, "needs one stride, not negative, per size, got sizes \(sizes), strides \(strides)")
    }
    return Layout(sizes: sizes, strides: strides)
  }
}

extension Tensor {
  /// A tensor of zeros.
  public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws -> Tensor {
    try OperatorLibrary.zeros(Value(shape), .dtype(dtype), .none, .device(device))
  }

  /// A tensor of ones.
  public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws -> Tensor {
    try OperatorLibrary.ones(Value(shape), .dtype(dtype), .none, .device(device))
  }

  /// A tensor of one number; without a dtype, of the number's own.
  public static func full(
    _ shape: [Int], _ value: some NumberOperand, dtype: DType? = nil, device: Device = .cpu
  ) throws -> Tensor {
    try OperatorLibrary.full(Value(shape), value.operandValue, Value(dtype), .none, .device(device))
  }

  /// A tensor whose elements are not asked for (zeros).
  public static func empty(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws -> Tensor {
    try OperatorLibrary.empty(Value(shape), .dtype(dtype), .none, .device(device))
  }

  /// The identity matrix, [n, m]; square without m.
  public static func eye(_ n: Int, _ m: Int? = nil, dtype: DType = .float32, device: Device = .cpu) throws -> Tensor {
    try OperatorLibrary.eyeRectangular(
      .int(SymInt(n)), .int(SymInt(m ?? n)), .dtype(dtype), .none, .device(device))
  }

  /// A number as a tensor without dimensions.
  public static func scalar(_ value: some NumberOperand, dtype: DType? = nil, device: Device = .cpu) throws -> Tensor {
    try OperatorLibrary.scalarTensor(
      value.operandValue, .dtype(dtype ?? value.scalar.dtype), .none, .device(device))
  }

  public func emptyLike(dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.emptyLike(.reference(self), Value(dtype))
  }
  public func zerosLike(dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.zerosLike(.reference(self), Value(dtype))
  }
  public func onesLike(dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.onesLike(.reference(self), Value(dtype))
  }
  public func fullLike(_ value: some NumberOperand, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.fullLike(.reference(self), value.operandValue, Value(dtype))
  }

  /// Zeros of this tensor's dtype and device.
  public func newZeros(_ shape: [Int]) throws -> Tensor {
    try OperatorLibrary.newZeros(.reference(self), Value(shape))
  }
  public func newOnes(_ shape: [Int]) throws -> Tensor { try OperatorLibrary.newOnes(.reference(self), Value(shape)) }
  public func newFull(_ shape: [Int], _ value: some NumberOperand) throws -> Tensor {
    try OperatorLibrary.newFull(.reference(self), Value(shape), value.operandValue)
  }
  public func newEmpty(_ shape: [Int]) throws -> Tensor {
    try OperatorLibrary.newEmpty(.reference(self), Value(shape))
  }
}
