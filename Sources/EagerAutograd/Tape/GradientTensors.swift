import GraphIR
import Operators
import TensorCore

// Tensors that the engine itself makes. They are made by operators, so that capture sees them.
extension Tensor {
  /// A copy that lies in memory as a new tensor like one of that layout would; of a wrapper subclass, as the subclass has it.
  func copied(to layout: Layout) throws -> Tensor {
    if wrapperMeta != nil { return try clone() }
    let dense = layout.dense
    if dense.isContiguous { return try OperatorLibrary.clone(.reference(self), .memoryFormat(.contiguous)) }
    let copy = try OperatorLibrary.emptyStrided(
      .integers(dense.sizes), .integers(dense.strides), .dtype(dtype), .none, .device(device))
    return try copy.copy_(self)
  }

  static func zeros(_ meta: TensorMeta) throws -> Tensor {
    try OperatorLibrary.zeros(.integers(meta.sizes), .dtype(meta.dtype), .none, .device(meta.device))
  }

  static func ones(_ meta: TensorMeta) throws -> Tensor {
    try OperatorLibrary.ones(.integers(meta.sizes), .dtype(meta.dtype), .none, .device(meta.device))
  }
}

extension Argument {
  static func integers(_ values: [SymInt]) -> Argument { .list(values.map { .int($0) }) }
}

extension Layout {
  /// The layout of a new tensor that is to be like one of this layout: its strides where those are dense, else row-major.
  var dense: Layout { isNonOverlappingAndDense ? Layout(sizes: sizes, strides: strides) : Layout(contiguous: sizes) }
}
