import GraphIR
import TensorCore

extension Tensor {
  /// The same elements under another dense layout: this tensor where it lies so already, else a copy.
  ///
  /// - Returns: A tensor of `layout` but for its offset; nil where that layout is not dense.
  package func relaid(like layout: Layout) throws -> Tensor? {
    if strides == layout.strides { return self }
    guard layout.isNonOverlappingAndDense else { return nil }
    let order = layout.sizes.indices.sorted {
      layout.strides[$0] != layout.strides[$1] ? layout.strides[$0] > layout.strides[$1] : $0 < $1
    }
    var inverse = order
    for (place, dimension) in order.enumerated() { inverse[dimension] = place }
    let copy = try permute(order).contiguous().permute(inverse)
    // Dimensions of size 1 may have any stride.
    return copy.strides == layout.strides ? copy : try copy.asStrided(layout.sizes, layout.strides)
  }
}
