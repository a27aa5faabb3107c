import LoopIR
import TensorCore

/// Windows that share the last dimensions as evenly as they can, in a loop over windows and then over places in a window:
/// window o of n over a dimension of size s runs from ⌊o·s/n⌋ to before ⌈(o+1)·s/n⌉.
struct AdaptiveWindows {
  let space: [Int]
  let counts: [Int]
  /// Dimensions of the loop before those of the windows.
  let leading: Int

  /// The windows of which each element of `small` is made, of elements of `large`.
  init(over large: Operand, to small: Operand, rank: Int) {
    space = Array(large.sizes.suffix(rank))
    counts = Array(small.sizes.suffix(rank))
    leading = small.sizes.count - rank
  }

  private var rank: Int { space.count }

  /// The most places that a window has along each dimension.
  var longest: [Int] {
    zip(space, counts).map { size, count in
      (0..<count).map { ((($0 + 1) * size + count - 1) / count) - $0 * size / count }.max() ?? 0
    }
  }

  /// The coordinate, along a dimension, of a place in a window.
  func place(_ i: Int, _ inside: ScalarExpression) -> ScalarExpression { start(i) + inside }

  private func start(_ i: Int) -> ScalarExpression {
    .binary(.floorDivide, .coordinate(leading + i) * .constant(.int(space[i])), .constant(.int(counts[i])))
  }

  private func end(_ i: Int) -> ScalarExpression {
    let scaled = (.coordinate(leading + i) + 1) * .constant(.int(space[i])) + .constant(.int(counts[i] - 1))
    return .binary(.floorDivide, scaled, .constant(.int(counts[i])))
  }

  var elementCount: ScalarExpression {
    .cast(.int64, (0..<rank).dropFirst().reduce(end(0) - start(0)) { $0 * (end($1) - start($1)) })
  }

  /// Whether a place lies in its window: not all windows have the longest's length.
  var isInside: ScalarExpression {
    func holds(_ i: Int) -> ScalarExpression { place(i, .coordinate(leading + rank + i)) .< end(i) }
    return (0..<rank).dropFirst().reduce(holds(0)) { .binary(.bitwiseAnd, $0, holds($1)) }
  }

  /// The element at each place of each window; places outside the window read the last element.
  func access(_ operand: Operand) -> LoopKernel.Access {
    let indirections = (0..<rank).map { i in
      LoopKernel.Indirection(
        index: .binary(.minimum, place(i, .coordinate(leading + rank + i)), .constant(.int(space[i] - 1))),
        size: space[i], stride: operand.strides[leading + i])
    }
    return .init(
      buffer: operand.buffer, dtype: operand.dtype,
      strides: operand.strides[..<leading] + [Int](repeating: 0, count: 2 * rank), offset: operand.offset,
      indirections: indirections)
  }
}
