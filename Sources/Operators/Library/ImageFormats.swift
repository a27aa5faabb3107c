import GraphIR
import TensorCore

extension Layout {
  /// The memory format that operators on images keep: channels last where the strides say so, else row-major.
  var imageFormat: MemoryFormat {
    switch rank {
    case 4 where hasChannelsLast: .channelsLast
    case 5 where hasChannelsLast: .channelsLast3D
    default: .contiguous
    }
  }

  /// Whether strides grow from the channels over the space, last dimension first, to the batch.
  private var hasChannelsLast: Bool {
    if isEmpty || strides[1] == 0 { return false }
    var least: SymInt = 0
    for dimension in [1] + (2..<rank).reversed() + [0] {
      // One channel of one place lies the same in either format; it counts as row-major.
      if strides[dimension] < least || (dimension == 0 && least == strides[1]) { return false }
      least = strides[dimension] * sizes[dimension]
    }
    return true
  }
}

extension TensorMeta {
  /// A new image in the dtype, memory format and place of another.
  init(_ sizes: [SymInt], like image: Tensor) {
    self.init(
      dtype: image.dtype, layout: Layout(contiguous: sizes).copied(format: image.layout.imageFormat),
      device: image.device)
  }

  /// The same for what PyTorch gives in the memory format of another only over two dimensions, else row-major.
  init(_ sizes: [SymInt], likePlanes image: Tensor, rank: Int) {
    if rank == 2 {
      self.init(sizes, like: image)
    } else {
      self.init(dtype: image.dtype, sizes: sizes, device: image.device)
    }
  }
}

extension Call where Reference == Tensor {
  /// - Throws: `OperatorError` where an argument is not of a type that the operator is defined for.
  func checkDType(_ position: Int, _ isAccepted: (DType) -> Bool) throws {
    let dtype = try tensor(position).dtype
    guard isAccepted(dtype) else { throw OperatorError(.dtype, target.name, "is not defined for \(dtype)") }
  }

  /// - Throws: `OperatorError` where a gradient's sizes or dtype are not those of the result that it is the gradient of.
  func checkGradient(_ position: Int = 0, sizes: [SymInt], dtype: DType? = nil) throws {
    let gradient = try tensor(position)
    let dtype = dtype ?? gradient.dtype
    guard gradient.sizes == sizes, gradient.dtype == dtype else {
      throw OperatorError(
        .shape, target.name,
        "'\(target.schema.parameters[position].name)' must be \(dtype) of sizes \(sizes), got \(gradient.dtype) of sizes \(gradient.sizes)"
      )
    }
  }

  /// - Throws: `OperatorError` where an image has not `rank` dimensions after its channels, or any of them, or the
  ///   channels, has no elements. A batch may be missing, or empty.
  func checkImage(_ position: Int, rank: Int, needsBatch: Bool = false) throws {
    let sizes = try tensor(position).sizes
    let ranks = needsBatch ? [rank + 2] : [rank + 1, rank + 2]
    guard ranks.contains(sizes.count), !sizes.suffix(rank + 1).contains(0) else {
      throw OperatorError(
        .shape, target.name,
        "'\(target.schema.parameters[position].name)' must have \(ranks.map { "\($0)" }.joined(separator: " or ")) dimensions, none of them but the batch empty, got sizes \(sizes)"
      )
    }
  }
}
