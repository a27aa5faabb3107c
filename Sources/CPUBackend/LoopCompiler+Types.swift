import LoopIR
import TensorCore

/// What makes two instructions of one segment the same.
struct InstructionKey: Hashable {
  private let code: UInt64
  private let a: Int
  private let b: Int
  private let c: Int
  private let bits: UInt64

  init(_ instruction: Instruction, _ segment: Int) {
    let operation: UInt64 =
      switch instruction.opcode {
      case .unary: UInt64(UnaryOperation.allCases.firstIndex(of: instruction.unary) ?? 0)
      case .binary: UInt64(BinaryOperation.allCases.firstIndex(of: instruction.binary) ?? 0)
      default: UInt64(instruction.dtype.rawValue)
      }
    let types = UInt64(instruction.type.rawValue) | UInt64(instruction.targetType.rawValue) << 4
    code = UInt64(instruction.opcode.rawValue) | operation << 8 | types << 16 | UInt64(segment) << 32
    a = instruction.a
    b = instruction.b
    c = instruction.c &+ instruction.index << 32
    bits = instruction.bits
  }
}

extension DType {
  /// Whether a register holds more than this type can.
  var isNarrow: Bool {
    switch self {
    case .uint8, .int8, .int16, .float16, .bfloat16: true
    default: false
    }
  }

  /// What arithmetic on this type gives before it is rounded: float32 for half precision.
  var computeDType: DType { self == .float16 || self == .bfloat16 ? .float32 : self }

  /// What results of arithmetic are wrapped to: integers wrap after each operation, half precision does not.
  var wrapDType: DType { isInteger ? self : .float32 }

  /// Whether every number of this type is one of the other's.
  func fits(in other: DType) -> Bool {
    switch (self, other) {
    case (.bool, _): true
    case (.uint8, .int16), (.int8, .int16): true
    default: self == other
    }
  }
}

extension Scalar {
  /// The dtype of a constant that stands beside no other value.
  var naturalDType: DType {
    switch self {
    case .bool: .bool
    case .int: .int64
    case .double: .float64
    }
  }

  /// The number as a register of this dtype holds it.
  func bits(as dtype: DType) -> UInt64 {
    switch dtype {
    case .bool: doubleValue == 0 ? 0 : 1
    case .uint8: UInt64(UInt8(truncatingIfNeeded: intValue))
    case .int8: UInt64(UInt32(bitPattern: Int32(Int8(truncatingIfNeeded: intValue))))
    case .int16: UInt64(UInt32(bitPattern: Int32(Int16(truncatingIfNeeded: intValue))))
    case .int32: UInt64(UInt32(truncatingIfNeeded: intValue))
    case .int64: UInt64(bitPattern: Int64(intValue))
    case .float16: UInt64(Float(Half(Float(doubleValue))).bitPattern)
    case .bfloat16: UInt64(Float(BFloat16(Float(doubleValue))).bitPattern)
    case .float32: UInt64(Float(doubleValue).bitPattern)
    case .float64: doubleValue.bitPattern
    }
  }
}

extension ScalarExpression {
  var isConstant: Bool { if case .constant = self { true } else { false } }

  var naturalDType: DType? { if case .constant(let scalar) = self { scalar.naturalDType } else { nil } }

  /// Without an outermost cast to what a store casts to anyway.
  func withoutCast(to dtype: DType) -> ScalarExpression {
    if case .cast(dtype, let inner) = self, dtype.isNarrow, dtype.isFloatingPoint { inner } else { self }
  }
}

extension UnaryOperation {
  var needsFloatingPoint: Bool {
    switch self {
    case .negate, .absolute, .sign, .floor, .ceil, .round, .truncate, .logicalNot, .bitwiseNot, .isNaN: false
    default: true
    }
  }
}

extension BinaryOperation {
  /// Whether the operation is defined for numbers of a type.
  func isDefined(for type: RegisterType) -> Bool {
    switch self {
    case .bitwiseAnd, .bitwiseOr, .bitwiseXor, .shiftLeft, .shiftRight: !type.isFloatingPoint
    case .atan2, .hypot, .copySign, .nextAfter, .polygamma: type.isFloatingPoint
    default: true
    }
  }

  /// Whether the result is 0 or 1 where both operands are.
  var keepsBool: Bool {
    switch self {
    case .multiply, .minimum, .maximum, .bitwiseAnd, .bitwiseOr, .bitwiseXor: true
    default: false
    }
  }
}
