import AOTAutograd

/// A stored property of a `Module` whose tensor, or tensors, are trained: `@Parameter var weight: Tensor`.
///
/// A leaf of a floating-point type that is stored here is asked for gradients, as by `torch.nn.Parameter`.
@propertyWrapper
public struct Parameter<Value: TensorSlot>: ModuleSlot {
  private let variable: Guarded<Value>

  public init(wrappedValue: Value, file: String = #fileID, line: Int = #line) {
    variable = Guarded(wrappedValue: Self.requiringGrad(wrappedValue), file: file, line: line)
  }

  public var wrappedValue: Value {
    get { variable.wrappedValue }
    nonmutating set { variable.wrappedValue = Self.requiringGrad(newValue) }
  }

  var role: ModuleSlotRole { .parameter }
  var tensors: [(key: String?, tensor: Tensor)] { variable.wrappedValue.slotTensors }

  private static func requiringGrad(_ value: Value) -> Value {
    for (_, tensor) in value.slotTensors where tensor.isLeaf && tensor.dtype.isFloatingPoint && !tensor.isInference {
      // Nothing that could be refused is left.
      _ = try? tensor.requiringGrad()
    }
    return value
  }
}

/// A stored property of a `Module` whose tensor, or tensors, belong to its state without being trained:
/// `@Buffer var runningMean: Tensor`.
@propertyWrapper
public struct Buffer<Value: TensorSlot>: ModuleSlot {
  private let variable: Guarded<Value>
  private let isPersistent: Bool

  /// - Parameter persistent: Whether it is part of `stateDict`.
  public init(wrappedValue: Value, persistent: Bool = true, file: String = #fileID, line: Int = #line) {
    variable = Guarded(wrappedValue: wrappedValue, file: file, line: line)
    isPersistent = persistent
  }

  public var wrappedValue: Value {
    get { variable.wrappedValue }
    nonmutating set { variable.wrappedValue = newValue }
  }

  var role: ModuleSlotRole { isPersistent ? .buffer : .transientBuffer }
  var tensors: [(key: String?, tensor: Tensor)] { variable.wrappedValue.slotTensors }
}

/// What `@Parameter` and `@Buffer` properties may hold: a tensor, an optional one, or an array of them.
public protocol TensorSlot: GuardableValue {
  /// The tensors, each with its name inside the property; nil where the property's name is enough.
  var slotTensors: [(key: String?, tensor: Tensor)] { get }
}

extension Tensor: TensorSlot {
  public var slotTensors: [(key: String?, tensor: Tensor)] { [(nil, self)] }
}

extension Optional: TensorSlot where Wrapped: TensorSlot {
  public var slotTensors: [(key: String?, tensor: Tensor)] { map(\.slotTensors) ?? [] }
}

extension Array: TensorSlot where Element == Tensor {
  public var slotTensors: [(key: String?, tensor: Tensor)] { enumerated().map { ("\($0)", $1) } }
}

/// What reflection finds in the place of a `@Parameter` or `@Buffer` property.
protocol ModuleSlot {
  var role: ModuleSlotRole { get }
  var tensors: [(key: String?, tensor: Tensor)] { get }
}

enum ModuleSlotRole {
  case parameter
  case buffer
  /// A buffer that is no part of `stateDict`.
  case transientBuffer
}
