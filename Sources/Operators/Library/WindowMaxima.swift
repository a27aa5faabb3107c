import GraphIR
import LoopIR
import TensorCore

/// Windows over the last dimensions of a tensor, of which the largest elements are wanted.
struct MaximumWindows {
  /// The element at each place of each window, in a loop over the windows and then over places.
  let elements: LoopKernel.Access
  /// The windows' sizes.
  let sizes: [Int]
  /// Sizes of the dimensions that the windows lie in.
  let space: [Int]
  /// Whether a place of a window is an element; nil where all are.
  let isInside: ScalarExpression?
  /// The coordinate, along a dimension, of a place in a window, in a loop over the windows.
  let place: (_ dimension: Int, _ inside: ScalarExpression) -> ScalarExpression

  /// A place's flat index in its window, in a loop over windows of so many dimensions and then over places.
  fileprivate func flatIndex(_ leading: Int) -> ScalarExpression {
    sizes.indices.reduce(0) { $0 * .constant(.int(sizes[$1])) + .coordinate(leading + $1) }
  }

  /// The flat index, in the plane of `space`, of the element at a flat index in a window.
  fileprivate func planeIndex(_ flat: ScalarExpression) -> ScalarExpression {
    var (result, stride): (ScalarExpression, Int) = (0, 1)
    var rest = flat
    for i in sizes.indices.reversed() {
      let size = ScalarExpression.constant(.int(sizes[i]))
      result = result + place(i, .binary(.remainder, rest, size)) * .constant(.int(stride))
      rest = .binary(.floorDivide, rest, size)
      stride *= space[i]
    }
    return result
  }
}

extension LoopBuilder {
  /// The maximum of each window and where it stands first, as a flat index in its plane. A NaN is the maximum; of several,
  /// the last is found, as in PyTorch.
  mutating func maxima(_ windows: MaximumWindows, to values: Operand, indices: Operand) {
    let dtype = values.dtype
    let lowest = ScalarExpression.constant(dtype.lowest)
    let element = windows.isInside.map { LoopIR.select($0, .load(0), lowest) } ?? .load(0)
    // Places that are no elements are as low as an element can be, so they must not be found as the maximum's.
    let isMaximum = element .== .reduced(0)
    let isFound = windows.isInside.map { ScalarExpression.binary(.bitwiseAnd, isMaximum, $0) } ?? isMaximum
    var rank = LoopIR.select(isFound, .constant(.int(1)), .constant(.int(0)))
    if dtype.isFloatingPoint {
      rank = LoopIR.select(.unary(.isNaN, element), windows.flatIndex(values.sizes.count) + .constant(.int(2)), rank)
    }
    append(
      .loop(
        LoopKernel(
          outerSizes: values.sizes, reducedSizes: windows.sizes, loads: [windows.elements],
          reductions: [.init(.maximum, element, dtype: dtype), .init(.argmax, rank, dtype: .int64)],
          stores: [
            .init(values.access, .cast(dtype, .reduced(0)), extent: .outer),
            .init(indices.access, windows.planeIndex(.reduced(1)), extent: .outer),
          ])))
  }

  /// Adds the gradient of each window to the element, in the plane of the last dimensions, that its index names.
  mutating func spreadMaxima(_ gradient: Operand, indices: Operand, rank: Int, to result: Operand) {
    accumulate(in: result) { sum, builder in
      let leading = sum.sizes.count - rank
      let place = sum.viewed(
        as: gradient.sizes, strides: sum.strides[..<leading] + [Int](repeating: 0, count: rank), offset: sum.offset)
      // In every memory format, a plane's elements follow each other in steps of one size.
      let index = IndexOperand(
        indices: indices, size: sum.sizes[leading...].reduce(1, *), stride: sum.strides.last ?? 1)
      builder.scatter(.operand(gradient), to: place, at: [index], mode: .accumulate)
    }
  }
}

extension Call where Reference == Tensor {
  /// - Throws: `OperatorError` where argument 0 is not the gradient of maxima of these sizes, of argument 1.
  func checkMaximaGradient(sizes: [SymInt], indices position: Int) throws {
    let (input, indices) = (try tensor(1), try tensor(position))
    try checkDType(1, \.isFloatingPoint)
    try checkGradient(sizes: sizes, dtype: input.dtype)
    try checkIndex(position)
    guard indices.sizes == sizes else {
      throw OperatorError(.shape, target.name, "'indices' must have the sizes \(sizes), got \(indices.sizes)")
    }
  }
}

extension DerivativeContext {
  /// The elements of the gradient's planes that `indices` name.
  func maximaGathered(rank: Int) throws -> Tensor {
    let indices = try tensor("indices").flatten(from: -rank)
    return try gradient.flatten(from: -rank).gather(-1, indices).reshape(sizes("grad_output"))
  }
}
