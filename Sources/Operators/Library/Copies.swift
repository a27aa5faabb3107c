import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let copies = [clone, copy, toCopy]

  /// A copy in new memory; without a memory format, dense tensors keep their strides.
  public static let clone = OperatorDefinition(
    "clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        return [
          TensorMeta(
            dtype: input.dtype, layout: input.layout.copied(format: try call.optionalMemoryFormat(1) ?? .preserve),
            device: input.device)
        ]
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
            dtype: destination.dtype, layout: destination.layout.copied(format: .preserve), device: destination.device)
        ]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(1), to: results[0]) })
  )
  .derivative(of: "self") { _ in nil }
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
        return [
          TensorMeta(
            dtype: try call.optionalDType(1) ?? input.dtype,
            layout: input.layout.copied(format: try call.optionalMemoryFormat(6) ?? .preserve),
            device: try call.optionalDevice(3) ?? input.device)
        ]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(0), to: results[0]) })
  )
  .derivative { $0.gradient }
}

extension Layout {
  /// The layout of a copy in new memory.
  func copied(format: MemoryFormat) -> Layout {
    switch format {
    case .preserve where isNonOverlappingAndDense: Layout(sizes: sizes, strides: strides)
    case .preserve: Layout(sizes: sizes, strides: pointwiseStrides(sizes, operands: [self]))
    case .contiguous: Layout(contiguous: sizes)
    case .channelsLast, .channelsLast3D: Layout(sizes: sizes, strides: channelsLastStrides)
    }
  }

  private var channelsLastStrides: [SymInt] {
    guard rank >= 3 else { return Layout.contiguousStrides(sizes) }
    let order = [0] + Array(2..<rank) + [1]
    let dense = Layout.contiguousStrides(order.map { sizes[$0] })
    var result = strides
    for (place, dimension) in order.enumerated() { result[dimension] = dense[place] }
    return result
  }
}

extension Tensor {
  public func clone() throws -> Tensor { try OperatorLibrary.clone(.reference(self)) }

  /// This tensor where it is dense in row-major order, else a copy that is.
  public func contiguous() throws -> Tensor {
    isContiguous ? self : try OperatorLibrary.clone(.reference(self), .memoryFormat(.contiguous))
  }

  /// This tensor where it has that dtype, else a copy that does.
  public func converted(to dtype: DType) throws -> Tensor {
    self.dtype == dtype ? self : try OperatorLibrary.toCopy(.reference(self), .dtype(dtype))
  }

  /// Assigns the elements of `source`, broadcast and converted.
  @discardableResult
  public func copy_(_ source: Tensor) throws -> Tensor {
    try OperatorLibrary.copy.inPlace(.reference(self), .reference(source))
  }
}
