import GraphIR
import TensorCore

/// What can stand where an operator takes a tensor: a tensor, or a plain number of the weakest type-promotion class.
public protocol TensorOperand {
  var operandValue: Value { get }
}

extension Tensor: TensorOperand { public var operandValue: Value { .reference(self) } }
extension Int: TensorOperand { public var operandValue: Value { .int(SymInt(self)) } }
extension Double: TensorOperand { public var operandValue: Value { .double(self) } }
extension Float: TensorOperand { public var operandValue: Value { .double(Double(self)) } }
extension Bool: TensorOperand { public var operandValue: Value { .bool(self) } }
extension Scalar: TensorOperand { public var operandValue: Value { Value(self) } }
extension Argument: TensorOperand where Reference == Tensor { public var operandValue: Value { self } }
