import GraphIR
import TensorCore

/// A value made of tensors: what captured functions take and give.
///
/// A model or batch conforms by one method that lists its tensors:
///
///     struct MLP: TensorTree {
///       var weight, bias: Tensor
///       func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> MLP {
///         try MLP(weight: transform(weight), bias: transform(bias))
///       }
///     }
public protocol TensorTree {
  /// This value with each of its tensors replaced, visited in a fixed order.
  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Self

  /// Everything else that a function of this value may depend on, such as counts, keys and settings: a call in which it
  /// differs compiles anew. The default finds all stored properties that are no tensors by reflection, those of superclasses
  /// and of objects that they refer to included.
  var treeConstants: [Constant] { get }

  /// Appends the tensors and constants, in their order. The default asks for both; it is the fast way for each call.
  func flatten(into flat: inout FlatTree)
}

/// What trees are made of, in flat lists.
public struct FlatTree {
  public var tensors: [Tensor] = []
  public var constants: [Constant] = []

  public init() {}
}

extension TensorTree {
  public var treeConstants: [Constant] {
    var reflection = ReflectedConstants()
    reflection.add(propertiesOf: self)
    return reflection.constants
  }

  public func flatten(into flat: inout FlatTree) {
    flat.tensors += tensors
    flat.constants += treeConstants
  }

  /// The tensors, in order.
  public var tensors: [Tensor] {
    var result: [Tensor] = []
    _ = mapTensors {
      result.append($0)
      return $0
    }
    return result
  }
}

extension Tensor: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Tensor { try transform(self) }
  public var treeConstants: [Constant] { [] }
  public func flatten(into flat: inout FlatTree) { flat.tensors.append(self) }
}

extension Array: TensorTree where Element: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> [Element] {
    try map { try $0.mapTensors(transform) }
  }
  public var treeConstants: [Constant] { [.int(SymInt(count))] + flatMap(\.treeConstants) }
  public func flatten(into flat: inout FlatTree) {
    flat.constants.append(.int(SymInt(count)))
    if Element.self == Tensor.self {
      // The very type: a list of parameters, say, is taken over as a whole, and as it is where it is all there is.
      let tensors = unsafeBitCast(self, to: [Tensor].self)
      if flat.tensors.isEmpty { flat.tensors = tensors } else { flat.tensors += tensors }
    } else {
      for element in self { element.flatten(into: &flat) }
    }
  }
}

extension Optional: TensorTree where Wrapped: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Wrapped? {
    try map { try $0.mapTensors(transform) }
  }
  public var treeConstants: [Constant] { map { [.bool(true)] + $0.treeConstants } ?? [.none] }
}

/// Entries are visited in the order of their keys.
extension Dictionary: TensorTree where Key: Comparable, Value: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> [Key: Value] {
    var result = self
    for key in keys.sorted() {
      if let value = self[key] { result[key] = try value.mapTensors(transform) }
    }
    return result
  }

  public var treeConstants: [Constant] {
    [.int(SymInt(count))] + keys.sorted().flatMap { key in [.string("\(key)")] + (self[key]?.treeConstants ?? []) }
  }
}

// Numbers and strings take part as constants: each value compiles a graph of its own.

extension Int: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Int { self }
  public var treeConstants: [Constant] { [.int(SymInt(self))] }
}

extension Double: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Double { self }
  public var treeConstants: [Constant] { [.double(self)] }
}

extension Float: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Float { self }
  public var treeConstants: [Constant] { [.double(Double(self))] }
}

extension Bool: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Bool { self }
  public var treeConstants: [Constant] { [.bool(self)] }
}

extension String: TensorTree {
  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> String { self }
  public var treeConstants: [Constant] { [.string(self)] }
}
