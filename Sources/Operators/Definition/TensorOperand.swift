import GraphIR
import TensorCore

/// What can stand where an operator takes a tensor: a tensor, or a plain number of the weakest type-promotion class.
public protocol TensorOperand {
  var operandValue: Value { get }
}

/// A plain number where an operator takes a tensor.
public protocol NumberOperand: TensorOperand {
  var scalar: Scalar { get }
}

extension NumberOperand { public var operandValue: Value { Value(scalar) } }

extension Tensor: TensorOperand { public var operandValue: Value { .reference(self) } }
extension Argument: TensorOperand where Reference == Tensor { public var operandValue: Value { self } }
extension Int: NumberOperand { public var scalar: Scalar { .int(self) } }
extension Double: NumberOperand { public var scalar: Scalar { .double(self) } }
extension Float: NumberOperand { public var scalar: Scalar { .double(Double(self)) } }
extension Bool: NumberOperand { public var scalar: Scalar { .bool(self) } }
extension Scalar: NumberOperand { public var scalar: Scalar { self } }
