import GraphIR
import TensorCore

extension OperatorDefinition {
  /// The shape that several shapes broadcast to.
  ///
  /// - Throws: `OperatorError` with code `shape` naming the first two sizes that disagree.
  func broadcast(_ shapes: [[SymInt]]) throws -> [SymInt] {
    var result: [SymInt] = []
    for shape in shapes {
      if shape.count > result.count {
        result.insert(contentsOf: repeatElement(1, count: shape.count - result.count), at: 0)
      }
      let shift = result.count - shape.count
      for (dimension, size) in shape.enumerated() where result[shift + dimension] != size {
        if result[shift + dimension] == 1 {
          result[shift + dimension] = size
        } else if size != 1 {
          let list = shapes.map { "\($0)" }.joined(separator: ", ")
          throw OperatorError(
            .shape, name,
            "shapes \(list) cannot be broadcast: sizes \(result[shift + dimension]) and \(size) differ at dimension \(shift + dimension)"
          )
        }
      }
    }
    return result
  }
}

/// Strides of a pointwise result: dense, its dimensions in the order in which the operands have theirs in memory.
///
/// PyTorch's TensorIterator decides so: dimensions are sorted by the operands' strides, the first operand that tells two
/// dimensions apart deciding.
func pointwiseStrides(_ sizes: [SymInt], operands: [Layout]) -> [SymInt] {
  let rank = sizes.count
  if rank < 2 { return Layout.contiguousStrides(sizes) }
  let strides: [[SymInt]] = operands.map { operand in
    let missing = rank - operand.rank
    return sizes.indices.map {
      $0 < missing || operand.sizes[$0 - missing] != sizes[$0] ? 0 : operand.strides[$0 - missing]
    }
  }
  // Fastest first, starting from row-major order.
  var order = Array((0..<rank).reversed())
  func shouldSwap(_ inner: Int, _ outer: Int) -> Bool? {
    for operand in strides {
      let (a, b) = (operand[inner], operand[outer])
      if a == 0 || b == 0 { continue }
      if a != b { return a > b }
      if sizes[inner] > sizes[outer] { return true }
    }
    return nil
  }
  for start in 1..<rank {
    var place = start
    for candidate in stride(from: start - 1, through: 0, by: -1) {
      guard let swap = shouldSwap(order[candidate], order[place]) else { continue }
      if !swap { break }
      order.swapAt(candidate, place)
      place = candidate
    }
  }
  var result = [SymInt](repeating: 1, count: rank)
  var stride: SymInt = 1
  for dimension in order {
    result[dimension] = stride
    stride *= max(sizes[dimension], 1)
  }
  return result
}
