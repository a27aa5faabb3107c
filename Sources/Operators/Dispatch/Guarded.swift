import TensorCore

/// A variable that functions may read without getting it as an argument.
///
///     final class Noise {
///       @Guarded var isOn = true
///     }
///
/// A compiled function that reads it fits a call only while the variable holds what it held when the function was captured, and
/// is compiled anew otherwise. Without it, what a closure captures besides tensors is taken as constant. A captured function
/// cannot set it: that would happen once and never again, so that capturing throws.
@propertyWrapper
public final class Guarded<Value: GuardableValue> {
  private var stored: Value
  private let file: String
  private let line: Int

  public init(wrappedValue: Value, file: String = #fileID, line: Int = #line) {
    self.stored = wrappedValue
    self.file = file
    self.line = line
  }

  public var wrappedValue: Value {
    get {
      DispatchContext.current.mode?.depend(on: read())
      return stored
    }
    set {
      if !newValue.isSame(as: stored) { refuseCapture() }
      stored = newValue
    }
  }

  /// The value now, as a fact that a compiled function may rely on.
  private func read() -> GuardedRead {
    GuardedRead(
      variable: self, name: "the variable at \(file):\(line)", value: stored.guardDescription,
      holds: { [stored] in self.stored.isSame(as: stored) }, current: { self.stored.guardDescription })
  }

  private func refuseCapture() {
    DispatchContext.current.mode?.refuse(
      OperatorError(
        .argument, nil,
        "the variable at \(file):\(line) was set while a function is captured; set it before the call"))
  }
}

/// A value that can be told from another of its type: numbers and settings by what they are, tensors by identity.
public protocol GuardableValue {
  func isSame(as other: Self) -> Bool
  /// How messages spell it.
  var guardDescription: String { get }
}

extension GuardableValue where Self: Equatable {
  public func isSame(as other: Self) -> Bool { self == other }
  public var guardDescription: String { "\(self)" }
}

extension Bool: GuardableValue {}
extension Int: GuardableValue {}
extension Double: GuardableValue {}
extension String: GuardableValue {}

extension Tensor: GuardableValue {
  public func isSame(as other: Tensor) -> Bool { self === other }
  public var guardDescription: String { "a \(dtype) tensor of shape \(sizes)" }
}

extension Optional: GuardableValue where Wrapped: GuardableValue {
  public func isSame(as other: Wrapped?) -> Bool {
    switch (self, other) {
    case (nil, nil): true
    case (let a?, let b?): a.isSame(as: b)
    default: false
    }
  }
  public var guardDescription: String { map(\.guardDescription) ?? "nil" }
}

extension Array: GuardableValue where Element: GuardableValue {
  public func isSame(as other: [Element]) -> Bool {
    count == other.count && zip(self, other).allSatisfy { $0.isSame(as: $1) }
  }
  public var guardDescription: String { "[\(map(\.guardDescription).joined(separator: ", "))]" }
}

/// What a captured function read of a `Guarded` variable.
public struct GuardedRead {
  /// The variable; kept alive, so that its identity stays its own.
  package let variable: AnyObject
  package let name: String
  /// How the value that was read is spelled.
  package let value: String
  /// Whether the variable still holds that value.
  package let holds: () -> Bool
  /// How the value that it holds by now is spelled.
  package let current: () -> String
}
