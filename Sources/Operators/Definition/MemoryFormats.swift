import TensorCore

extension Layout {
  /// The order of dimensions that what is made of this layout takes: channels last where the strides have it without a
  /// doubt, else row-major.
  var suggestedFormat: MemoryFormat {
    switch rank {
    case 4 where hasChannelsLast: .channelsLast
    case 5 where hasChannelsLast: .channelsLast3D
    default: .contiguous
    }
  }

  /// Whether channels vary fastest in memory, then the other dimensions from the last on, then the batch.
  private var hasChannelsLast: Bool {
    if isEmpty || strides[1] == 0 { return false }
    var reach: SymInt = 0
    for dimension in [1] + (2..<rank).reversed() + [0] {
      if strides[dimension] < reach || dimension == 0 && reach == strides[1] { return false }
      reach = strides[dimension] * sizes[dimension]
    }
    return true
  }

  /// The layout of a copy in new memory that keeps the strides with the gaps between elements, but for elements that share
  /// a place.
  var copiedWithGaps: Layout { mayOverlapItself ? copied() : Layout(sizes: sizes, strides: strides) }
}
