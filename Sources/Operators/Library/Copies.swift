import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let copies = [
    clone, copy, toCopy, to, toOther, typeAs, contiguous, item, localScalarDense,
    toDevice, toLayout, liftFresh, liftFreshCopy,
  ]

  /// A copy in new memory; without a memory format, dense tensors keep their strides.
  public static let clone = OperatorDefinition(
    "clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let layout = input.layout.copied(format: try call.fittingMemoryFormat(1, rank: input.rank) ?? .preserve)
        return [TensorMeta(dtype: input.dtype, layout: layout, device: input.device)]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(0), to: results[0]) })
  )
  .derivative { $0.gradient }

  /// `src`, broadcast and converted, in the size and type of `self`; its in-place variant is assignment.
  public static let copy = OperatorDefinition(
    "copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let (destination, source) = (try call.tensor(0), try call.tensor(1))
        guard try call.target.broadcast([destination.sizes, source.sizes]) == destination.sizes else {
          throw OperatorError(
            .shape, call.target.name, "a source of shape \(source.sizes) does not broadcast to \(destination.sizes)")
        }
        return [
          TensorMeta(
            dtype: destination.dtype, layout: destination.layout.copiedWithGaps, device: destination.device)
        ]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(1), to: results[0]) })
  )
  .derivative(of: "self") { try $0.gradient.zerosLike() }
  .derivative(of: "src") { $0.gradient }
  .inPlaceVariant()

  /// A copy in another dtype.
  public static let toCopy = OperatorDefinition(
    """
    _to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, \
    bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor
    """, traits: .pointwise,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let dtype = try call.optionalDType(1) ?? input.dtype
        let layout = input.layout.copied(format: try call.fittingMemoryFormat(6, rank: input.rank) ?? .preserve)
        return [TensorMeta(dtype: dtype, layout: layout, device: try call.optionalDevice(3) ?? input.device)]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(0), to: results[0]) })
  )
  .derivative { $0.gradient.dtype.isFloatingPoint ? $0.gradient : nil }

  /// The tensor itself where nothing changes, else a copy in the dtype and memory format.
  public static let to = OperatorDefinition(
    """
    to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, \
    MemoryFormat? memory_format=None) -> Tensor(a)
    """,
    .composite { call in
      try converted(
        call, to: call.optionalDType(1), copies: call.bool(3),
        format: call.fittingMemoryFormat(4, rank: call.tensor(0).rank))
    })

  /// The tensor in the dtype of another.
  public static let toOther = OperatorDefinition(
    """
    to.other(Tensor(a) self, Tensor other, bool non_blocking=False, bool copy=False, \
    MemoryFormat? memory_format=None) -> Tensor(a)
    """,
    .composite { call in
      try converted(
        call, to: call.tensor(1).dtype, copies: call.bool(3),
        format: call.fittingMemoryFormat(4, rank: call.tensor(0).rank))
    })

  /// The tensor on a device, in a dtype.
  public static let toDevice = OperatorDefinition(
    """
    to.device(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, \
    MemoryFormat? memory_format=None) -> Tensor(a)
    """,
    .composite { call in
      try converted(
        call, to: call.optionalDType(2), on: call.optionalDevice(1), copies: call.bool(4),
        format: call.fittingMemoryFormat(5, rank: call.tensor(0).rank))
    })

  /// The tensor with what is named changed.
  public static let toLayout = OperatorDefinition(
    """
    to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, \
    bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)
    """,
    .composite { call in
      try converted(
        call, to: call.optionalDType(1), on: call.optionalDevice(3), copies: call.bool(6),
        format: call.fittingMemoryFormat(7, rank: call.tensor(0).rank))
    })

  /// A tensor that was just made, as itself.
  public static let liftFresh = OperatorDefinition(
    "lift_fresh(Tensor(a) self) -> Tensor(a)", .composite { $0.arguments[0] })

  /// A copy, in row-major order, of a constant of a graph: it may be written to.
  public static let liftFreshCopy = pointwise("lift_fresh_copy(Tensor self) -> Tensor", isContiguous: true) { x, _ in
    x[0]
  }
  .derivative { $0.gradient }

  public static let typeAs = OperatorDefinition(
    "type_as(Tensor self, Tensor other) -> Tensor",
    .composite { try converted($0, to: $0.tensor(1).dtype, copies: false, format: nil) })

  private static func converted(
    _ call: OperatorCall, to dtype: DType?, on device: Device? = nil, copies: Bool, format: MemoryFormat?
  ) throws -> Value {
    let input = try call.tensor(0)
    let layout = input.layout.copied(format: format ?? .preserve)
    let keepsLayout =
      format == nil || format == .preserve || format == input.layout.imageFormat
      || input.layout.isSameInMemory(as: layout)
    let isThere = (dtype ?? input.dtype) == input.dtype && (device ?? input.device) == input.device
    if !copies && keepsLayout && isThere { return call.arguments[0] }
    return .reference(
      try toCopy(
        call.arguments[0], .dtype(dtype ?? input.dtype), .none, device.map { .device($0) } ?? .none, .none,
        .bool(false),
        format.map { .memoryFormat($0) } ?? .none))
  }

  /// The tensor itself where it is dense in the memory format, else a copy that is.
  public static let contiguous = OperatorDefinition(
    "contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)",
    .composite { call in
      let input = try call.tensor(0)
      let format = try call.fittingMemoryFormat(1, rank: input.rank) ?? .contiguous
      let layout = input.layout.copied(format: format == .preserve ? .contiguous : format)
      if input.layout.isSameInMemory(as: layout) { return call.arguments[0] }
      guard format != .preserve else {
        throw OperatorError(.argument, call.target.name, "'preserve' is not an order of dimensions")
      }
      return .reference(try clone(call.arguments[0], .memoryFormat(format)))
    })

  /// The one element of a tensor.
  public static let item = OperatorDefinition(
    "item(Tensor self) -> Scalar", traits: .dataDependent,
    .composite { try localScalarDense.call($0.arguments) })

  public static let localScalarDense = OperatorDefinition(
    "_local_scalar_dense(Tensor self) -> Scalar", traits: .dataDependent,
    .composite { call in
      let input = try call.tensor(0)
      guard input.elementCount == 1 else {
        throw OperatorError(
          .shape, call.target.name, "needs a tensor of one element, got sizes \(input.sizes)")
      }
      guard !input.isFake else {
        throw OperatorError(
          .dataDependent, call.target.name,
          "the value of a tensor is not known while a function is captured; return the tensor and read it outside, or"
            + " replace the branch on its value by 'where'")
      }
      return Value(try input.firstElement())
    })
}

extension Call {
  /// - Throws: `OperatorError` where the format does not fit the number of dimensions.
  func fittingMemoryFormat(_ position: Int, rank: Int) throws -> MemoryFormat? {
    guard let format = try optionalMemoryFormat(position) else { return nil }
    guard format.rank == nil || format.rank == rank else {
      throw mismatch(position, "a memory format for \(rank) dimensions")
    }
    return format
  }
}

extension MemoryFormat {
  /// The number of dimensions that the format is for; nil for any.
  var rank: Int? {
    switch self {
    case .channelsLast: 4
    case .channelsLast3D: 5
    case .contiguous, .preserve: nil
    }
  }
}

extension Layout {
  /// The layout of a copy in new memory; a format that does not fit the number of dimensions is row-major.
  func copied(format: MemoryFormat = .preserve) -> Layout {
    switch format {
    case .preserve where isNonOverlappingAndDense: Layout(sizes: sizes, strides: strides)
    case .preserve: Layout(sizes: sizes, strides: pointwiseStrides(sizes, operands: [self]))
    case .channelsLast where rank == 4, .channelsLast3D where rank == 5:
      Layout(sizes: sizes, strides: channelsLastStrides)
    case .contiguous, .channelsLast, .channelsLast3D: Layout(contiguous: sizes)
    }
  }

  /// The layout of a copy in new memory that keeps the strides with the gaps between elements, but for elements that share
  /// a place.
  var copiedWithGaps: Layout { mayOverlapItself ? copied() : Layout(sizes: sizes, strides: strides) }

  private var channelsLastStrides: [SymInt] {
    let order = [0] + Array(2..<rank) + [1]
    let dense = Layout.contiguousStrides(order.map { sizes[$0] })
    var result = strides
    for (place, dimension) in order.enumerated() { result[dimension] = dense[place] }
    return result
  }

  /// Whether both put every index at the same place; dimensions of size 1 have no say.
  func isSameInMemory(as other: Layout) -> Bool {
    isEmpty || sizes.indices.allSatisfy { sizes[$0] == 1 || strides[$0] == other.strides[$0] }
  }
}

extension Tensor {
  public func clone(memoryFormat: MemoryFormat? = nil) throws -> Tensor {
    try OperatorLibrary.clone(.reference(self), memoryFormat.map { .memoryFormat($0) } ?? .none)
  }

  /// This tensor where it is dense in row-major order, else a copy that is.
  public func contiguous() throws -> Tensor { try OperatorLibrary.contiguous(.reference(self)) }

  /// This tensor where it has that dtype, else a copy that does.
  public func to(_ dtype: DType) throws -> Tensor { try OperatorLibrary.to(.reference(self), .dtype(dtype)) }

  /// This tensor where it has that dtype, else a copy that does.
  public func converted(to dtype: DType) throws -> Tensor { try to(dtype) }

  /// This tensor as float32.
  public func float() throws -> Tensor { try to(.float32) }
  /// This tensor as float64.
  public func double() throws -> Tensor { try to(.float64) }
  /// This tensor as float16.
  public func half() throws -> Tensor { try to(.float16) }
  public func bfloat16() throws -> Tensor { try to(.bfloat16) }
  /// This tensor as int32.
  public func int() throws -> Tensor { try to(.int32) }
  /// This tensor as int64.
  public func long() throws -> Tensor { try to(.int64) }
  public func bool() throws -> Tensor { try to(.bool) }

  /// Assigns the elements of `source`, broadcast and converted.
  @discardableResult
  public func copy_(_ source: Tensor) throws -> Tensor {
    try OperatorLibrary.copy.inPlace(.reference(self), .reference(source))
  }

  /// The one element of this tensor, as a number.
  ///
  /// - Throws: `OperatorError` with code `shape` where there is not exactly one, `dataDependent` while a function is captured.
  public func item() throws -> Scalar {
    let value = try OperatorLibrary.item.call([.reference(self)])
    guard let scalar = value.scalar else {
      throw OperatorError(.argument, OperatorLibrary.item.name, "gives no number")
    }
    return scalar
  }

  /// The element at index zero.
  ///
  /// - Precondition: There is an element.
  fileprivate func firstElement() throws(TensorError) -> Scalar {
    switch dtype {
    case .bool: .bool(try elements(as: Bool.self)[0])
    case .uint8: .int(Int(try elements(as: UInt8.self)[0]))
    case .int8: .int(Int(try elements(as: Int8.self)[0]))
    case .int16: .int(Int(try elements(as: Int16.self)[0]))
    case .int32: .int(Int(try elements(as: Int32.self)[0]))
    case .int64: .int(Int(try elements(as: Int64.self)[0]))
    case .float16: .double(Double(Float(try elements(as: Half.self)[0])))
    case .bfloat16: .double(Double(Float(try elements(as: BFloat16.self)[0])))
    case .float32: .double(Double(try elements(as: Float.self)[0]))
    case .float64: .double(try elements(as: Double.self)[0])
    }
  }
}
