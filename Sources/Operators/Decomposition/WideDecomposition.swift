import GraphIR
import TensorCore

extension OperatorDefinition {
  /// The operator in terms of arithmetic, computed as its kernel does: `body` sees numbers in the operands' common type, those
  /// of half precision in float32. What it gives is rounded to the result's type once.
  public func wideDecomposition(_ body: @escaping @Sendable (OperatorCall) throws -> Tensor) -> OperatorDefinition {
    decomposition { call in .reference(try body(call.widened())) }
  }
}

extension Call where Reference == Tensor {
  /// The call on numbers of one type, if they are of floating point: the operands' common one, float32 for half precision.
  fileprivate func widened() throws -> OperatorCall {
    var common = TypePromotion()
    for tensor in allTensors where tensor.dtype != .bool { common.add(tensor.dtype, rank: tensor.rank) }
    guard let dtype = common.result, dtype.isFloatingPoint else { return self }
    let arguments = try arguments.map { argument in
      try argument.map { .reference($0.dtype == .bool ? $0 : try $0.converted(to: dtype.accumulator)) }
    }
    return OperatorCall(target, arguments)
  }
}

extension Tensor {
  /// This tensor, in float32 if it is of half precision.
  func widened() throws -> Tensor { dtype.isFloatingPoint ? try converted(to: dtype.accumulator) : self }
}
