import GraphIR
import LoopIR
import TensorCore

/// Where windows lie that slide over the last dimensions of a tensor.
struct WindowGeometry {
  var strides: [Int]
  var padding: [Int]
  var dilation: [Int]
  /// Whether a last window may reach beyond the padding.
  var roundsUp = false

  var rank: Int { strides.count }

  /// No tensor has room for larger steps, and sizes computed with smaller ones do not overflow.
  private static let limit = Int(Int32.max)

  func check(_ target: OperatorDefinition) throws {
    guard (strides + dilation).allSatisfy({ 1...Self.limit ~= $0 }), padding.allSatisfy({ 0...Self.limit ~= $0 }) else {
      throw OperatorError(
        .argument, target.name,
        "stride and dilation must be positive, padding not negative, and none above \(Self.limit), got \(strides), "
          + "\(dilation), \(padding)")
    }
  }

  /// How many windows fit in each dimension; 0 or less where none does.
  func counts(over space: [Int], kernel: [Int]) -> [Int] {
    space.indices.map { i in
      let places = space[i] + 2 * padding[i] - 1
      if places < 0 || kernel[i] - 1 > places / dilation[i] { return 0 }
      let room = places - dilation[i] * (kernel[i] - 1)
      let count = (room + (roundsUp ? strides[i] - 1 : 0)) / strides[i] + 1
      // A window that starts in the padding after the last element does not count.
      return roundsUp && (count - 1) * strides[i] >= space[i] + padding[i] ? count - 1 : count
    }
  }

  /// Sizes with the padding on both sides.
  func padded(_ space: [Int]) -> [Int] { zip(space, padding).map { $0 + 2 * $1 } }

  /// The padding that the windows reach into, and what they reach beyond it when their number is rounded up.
  func padded(_ space: [Int], kernel: [Int], counts: [Int]) -> [Int] {
    padded(space).enumerated().map { i, size in
      Swift.max(size, (counts[i] - 1) * strides[i] + dilation[i] * (kernel[i] - 1) + 1)
    }
  }

  /// An operand with the last dimensions padded by a value: itself where there is no padding.
  func padded(
    _ operand: Operand, with value: Scalar, sizes: [Int]? = nil, _ builder: inout LoopBuilder
  ) -> Operand {
    let leading = operand.sizes.count - rank
    let space = Array(operand.sizes[leading...])
    let wanted = sizes ?? padded(space)
    if wanted == space && padding.allSatisfy({ $0 == 0 }) { return operand }
    let result = builder.temporary(operand.dtype, operand.sizes[..<leading] + wanted)
    builder.fill(result, value)
    builder.copy(operand, to: interior(of: result, sizes: operand.sizes))
    return result
  }

  /// The part of a padded operand that is not padding.
  func interior(of padded: Operand, sizes: [Int]) -> Operand {
    let leading = sizes.count - rank
    return padding.indices.reduce(padded) { operand, i in
      operand.narrowed(leading + i, from: padding[i], length: sizes[leading + i])
    }
  }

  /// The windows of a padded operand: its leading dimensions, then the windows' places, then the places in a window.
  func operand(over padded: Operand, kernel: [Int], counts: [Int]) -> Operand {
    let leading = padded.sizes.count - rank
    let space = padded.strides[leading...]
    return padded.viewed(
      as: padded.sizes[..<leading] + counts + kernel,
      strides: padded.strides[..<leading] + zip(space, strides).map { $0 * $1 } + zip(space, dilation).map { $0 * $1 },
      offset: padded.offset)
  }

  /// The windows of a padded [n, c, …] as [n, g, c / groups, kernel…, places…].
  func operand(over padded: Operand, groups: Int, kernel: [Int], counts: [Int]) -> Operand {
    let windows = operand(over: padded, kernel: kernel, counts: counts)
    let channels = padded.sizes[1] / groups
    let (places, inside) = (2..<(2 + rank), (2 + rank)..<(2 + 2 * rank))
    return windows.viewed(
      as: [padded.sizes[0], groups, channels] + windows.sizes[inside] + windows.sizes[places],
      strides: [windows.strides[0], channels * windows.strides[1], windows.strides[1]]
        + windows.strides[inside] + windows.strides[places],
      offset: windows.offset)
  }
}
