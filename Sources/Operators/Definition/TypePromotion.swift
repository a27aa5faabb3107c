import GraphIR
import TensorCore

/// The dtype that operands of several types meet in: PyTorch's rules.
///
/// Tensors with dimensions decide; tensors without and, below them, plain numbers count only where they are of a higher
/// category (bool < integer < floating point).
public struct TypePromotion {
  private var dimensioned: DType?
  private var zeroDimensional: DType?
  private var number: DType?

  public init() {}

  public mutating func add(_ dtype: DType, rank: Int) {
    if rank > 0 {
      dimensioned = Self.promote(dimensioned, dtype)
    } else {
      zeroDimensional = Self.promote(zeroDimensional, dtype)
    }
  }

  public mutating func add(_ scalar: Scalar) { number = Self.promote(number, scalar.dtype) }

  /// The common dtype; nil without operands.
  public var result: DType? { Self.combine(dimensioned, Self.combine(zeroDimensional, number)) }

  private static func combine(_ higher: DType?, _ lower: DType?) -> DType? {
    guard let higher else { return lower }
    guard let lower, !higher.isFloatingPoint else { return higher }
    return higher == .bool || lower.isFloatingPoint ? promote(higher, lower) : higher
  }

  private static func promote(_ a: DType?, _ b: DType) -> DType { a.map { promote($0, b) } ?? b }

  /// The smallest type that both fit into, by category first.
  public static func promote(_ a: DType, _ b: DType) -> DType {
    if a == b { return a }
    switch (a.isFloatingPoint, b.isFloatingPoint) {
    case (true, false): return a
    case (false, true): return b
    case (true, true):
      let halves: Set<DType> = [.float16, .bfloat16]
      return halves == [a, b] ? .float32 : max(a, b)
    case (false, false):
      return [a, b] == [.uint8, .int8] || [a, b] == [.int8, .uint8] ? .int16 : max(a, b)
    }
  }

  private static func max(_ a: DType, _ b: DType) -> DType { a.rawValue > b.rawValue ? a : b }

  /// Whether a result of one type may be written into a tensor of another: never from floating point to integer, nor from
  /// anything else to bool.
  public static func canCast(_ from: DType, to: DType) -> Bool {
    if from.isFloatingPoint && !to.isFloatingPoint { return false }
    return to != .bool || from == .bool
  }
}

/// How a pointwise operator's types relate.
public enum Promotion: Sendable {
  /// Compute and give the common dtype.
  case common
  /// As `common`, integers and bool first made the default floating-point type.
  case intToFloat
  /// Compute in the common dtype, give bool.
  case comparison
  /// Compute and give the dtype of the first tensor.
  case first
}

extension Promotion {
  /// What to compute in, given the common dtype of the operands.
  func computeDType(_ common: DType) -> DType { self == .intToFloat && !common.isFloatingPoint ? .float32 : common }
  func resultDType(_ common: DType) -> DType { self == .comparison ? .bool : computeDType(common) }
}
