import GraphIR
import LoopIR
import TensorCore

// What views of a part look like from their source: a copy of it with the part written, or zeros around the part.
extension OperatorLibrary {
  static let partScatters = [
    selectScatter, sliceScatter, diagonalScatter, asStridedScatter,
    selectBackward, sliceBackward, diagonalBackward, unfoldBackward,
  ]

  /// A copy of `self` in which `src` stands at one index of a dimension.
  public static let selectScatter: OperatorDefinition = scatter(
    "select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor", .select
  )
  .derivative(of: "self") { d in
    try d.gradient.selectScatter(d.gradient.newZeros(d.sizes("src")), d.call.int(2), d.call.int(3))
  }
  .derivative(of: "src") { d in try d.gradient.select(d.call.int(2), d.call.int(3)) }

  /// A copy of `self` in which `src` stands in a slice.
  public static let sliceScatter: OperatorDefinition = scatter(
    """
    slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor
    """, .slice
  )
  .derivative(of: "self") { d in
    let zeros = try d.gradient.newZeros(d.sizes("src"))
    return try sliceScatter(.reference(d.gradient), .reference(zeros), d["dim"], d["start"], d["end"], d["step"])
  }
  .derivative(of: "src") { d in try slice(.reference(d.gradient), d["dim"], d["start"], d["end"], d["step"]) }

  /// A copy of `self` in which `src` stands on a diagonal.
  public static let diagonalScatter: OperatorDefinition = scatter(
    "diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor", .diagonal
  )
  .derivative(of: "self") { d in
    let zeros = try d.gradient.newZeros(d.sizes("src"))
    return try diagonalScatter(.reference(d.gradient), .reference(zeros), d["offset"], d["dim1"], d["dim2"])
  }
  .derivative(of: "src") { d in try diagonal(.reference(d.gradient), d["offset"], d["dim1"], d["dim2"]) }

  /// A copy of `self` in which `src` stands where `as_strided` would look.
  public static let asStridedScatter: OperatorDefinition = scatter(
    """
    as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor
    """, .asStrided
  )
  .derivative(of: "self") { d in
    // Strides are those of the result: the gradient may have others.
    let gradient = try d.gradient.strided(like: d.result.layout)
    let zeros = try gradient.newZeros(d.sizes("src"))
    return try asStridedScatter(.reference(gradient), .reference(zeros), d["size"], d["stride"], d["storage_offset"])
  }
  .derivative(of: "src") { d in
    let gradient = try d.gradient.strided(like: d.result.layout)
    return try asStrided(.reference(gradient), d["size"], d["stride"], d["storage_offset"])
  }

  /// Zeros but at one index of a dimension: the gradient of `select`.
  public static let selectBackward: OperatorDefinition = placement(
    "select_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt index) -> Tensor", .select
  )
  .derivative(of: "grad_output") { try selectInt(.reference($0.gradient), $0["dim"], $0["index"]) }

  /// Zeros but in a slice: the gradient of `slice`.
  public static let sliceBackward: OperatorDefinition = placement(
    """
    slice_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt start, SymInt end, SymInt step) -> Tensor
    """, .slice
  )
  .derivative(of: "grad_output") { try slice(.reference($0.gradient), $0["dim"], $0["start"], $0["end"], $0["step"]) }

  /// Zeros but on a diagonal: the gradient of `diagonal`.
  public static let diagonalBackward: OperatorDefinition = placement(
    "diagonal_backward(Tensor grad_output, SymInt[] input_sizes, int offset, int dim1, int dim2) -> Tensor", .diagonal
  )
  .derivative(of: "grad_output") { try diagonal(.reference($0.gradient), $0["offset"], $0["dim1"], $0["dim2"]) }

  /// Each element the sum over the windows it is in: the gradient of `unfold`.
  public static let unfoldBackward: OperatorDefinition = placement(
    "unfold_backward(Tensor grad_in, SymInt[] input_sizes, int dim, int size, int step) -> Tensor", .unfold
  )
  .derivative(of: "grad_in") { try unfold(.reference($0.gradient), $0["dim"], $0["size"], $0["step"]) }

  /// A copy of argument 0 with argument 1 in the part that the arguments from 2 on name.
  private static func scatter(_ schema: String, _ part: PartView) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let (input, source) = (try call.tensor(0), try call.tensor(1))
          let result = input.layout.copiedWithGaps
          if part == .asStrided, !input.layout.mayOverlapItself, !call.arguments[4].isNone {
            guard input.layout.offset == 0 else {
              throw OperatorError(
                .notImplemented, call.target.name,
                "needs a tensor that starts where its storage does, or no storage_offset; got one at \(input.layout.offset)"
              )
            }
          }
          let place = try part.layout(of: result, call, at: 2)
          guard place.sizes == source.sizes else {
            throw OperatorError(
              .shape, call.target.name, "'src' must have the sizes \(place.sizes) of the part, got \(source.sizes)")
          }
          guard place.elementRange.upperBound <= result.elementRange.upperBound || place.isEmpty else {
            throw OperatorError(.shape, call.target.name, "the part reaches outside the tensor")
          }
          return [TensorMeta(dtype: input.dtype, layout: result, device: input.device)]
        },
        lowering: { call, results, builder in
          builder.copy(try call.reference(0), to: results[0])
          builder.copy(try call.reference(1), to: try results[0].viewed(part, of: call, at: 2))
        }))
  }

  /// Zeros of the sizes in argument 1, with argument 0 added to the part that the arguments from 2 on name.
  private static func placement(_ schema: String, _ part: PartView) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let gradient = try call.tensor(0)
          let meta = TensorMeta(dtype: gradient.dtype, sizes: try call.symInts(1), device: gradient.device)
          _ = try meta.layout.requiredByteCount(meta.dtype)
          let place = try part.layout(of: meta.layout, call, at: 2)
          guard place.sizes == gradient.sizes else {
            throw OperatorError(
              .shape, call.target.name,
              "the gradient must have the sizes \(place.sizes) of the part, got \(gradient.sizes)"
            )
          }
          return [meta]
        },
        lowering: { call, results, builder in
          let gradient = try call.reference(0)
          if part == .unfold {
            try builder.accumulate(in: results[0]) { sum, builder in
              builder.pointwise([gradient], to: try sum.viewed(part, of: call, at: 2), mode: .accumulate) { $0[0] }
            }
          } else {
            builder.fill(results[0], 0)
            builder.copy(gradient, to: try results[0].viewed(part, of: call, at: 2))
          }
        }))
  }
}

extension Operand {
  /// The part that the arguments of a call from a position on name.
  func viewed(_ part: PartView, of call: LoweringCall, at position: Int) throws -> Operand {
    let place = try part.layout(of: Layout(sizes: [SymInt](sizes), strides: [SymInt](strides)), call, at: position)
    return viewed(as: place.sizes.values, strides: place.strides.values, offset: offset + place.offset.value)
  }
}

extension LoopBuilder {
  /// Fills `result` with zeros and lets `body` add to it, in a type that sums well: half-precision results through a
  /// temporary in float32.
  mutating func accumulate(in result: Operand, _ body: (Operand, inout LoopBuilder) throws -> Void) rethrows {
    let isWide = result.dtype != .float16 && result.dtype != .bfloat16
    let sum = isWide ? result : temporary(.float32, result.sizes)
    fill(sum, 0)
    try body(sum, &self)
    if !isWide { copy(sum, to: result) }
  }
}

extension Tensor {
  /// A copy of this tensor in which `source` stands at one index of a dimension.
  public func selectScatter(_ source: Tensor, _ dimension: Int, _ index: Int) throws -> Tensor {
    try OperatorLibrary.selectScatter(.reference(self), .reference(source), Value(dimension), Value(index))
  }

  /// A copy of this tensor in which `source` stands in a slice.
  public func sliceScatter(
    _ source: Tensor, _ dimension: Int = 0, from start: Int? = nil, to end: Int? = nil, step: Int = 1
  ) throws -> Tensor {
    try OperatorLibrary.sliceScatter(
      .reference(self), .reference(source), Value(dimension), start.map { Value($0) } ?? .none,
      end.map { Value($0) } ?? .none, Value(step))
  }

  /// A copy of this tensor in which `source` stands where a layout looks.
  func asStridedScatter(_ source: Tensor, _ layout: Layout) throws -> Tensor {
    try OperatorLibrary.asStridedScatter(
      .reference(self), .reference(source), Value(layout.sizes), Value(layout.strides), .int(layout.offset))
  }

  /// Zeros of this tensor's dtype and device.
  public func newZeros(_ sizes: [SymInt]) throws -> Tensor {
    try OperatorLibrary.newZeros(.reference(self), Value(sizes))
  }

  /// This tensor where it has the strides of `layout`, else a copy that has; without an offset either way.
  ///
  /// - Precondition: `layout` is of these sizes, its elements do not share places.
  func strided(like layout: Layout) throws -> Tensor {
    if strides == layout.strides && self.layout.offset == 0 { return self }
    guard layout.isNonOverlappingAndDense else {
      let memory = try newZeros([layout.elementRange.upperBound - layout.offset.value])
      let place = Layout(sizes: layout.sizes, strides: layout.strides)
      return try memory.asStridedScatter(self, place).asStrided(layout.sizes, layout.strides)
    }
    let order = layout.sizes.indices.sorted { layout.strides[$0] > layout.strides[$1] }
    var inverse = order
    for (place, dimension) in order.enumerated() { inverse[dimension] = place }
    return try permute(order).clone(memoryFormat: .contiguous).permute(inverse)
  }
}
