import GraphIR
import Operators
import TensorCore

/// What a tensor is made of: memory of its own or, for a wrapper subclass, inner tensors and what it takes to wrap them
/// again.
///
/// Where elements start in their storage is no part of it.
public indirect enum TensorStructure: Hashable, Sendable {
  case plain(TensorMeta)
  case wrapper(SubclassMeta)

  public init(_ tensor: Tensor) {
    self = SubclassMeta(tensor).map { .wrapper($0) } ?? .plain(TensorMeta(tensor).withoutOffset)
  }

  /// What the tensor looks like from outside.
  public var outer: TensorMeta {
    switch self {
    case .plain(let meta): meta
    case .wrapper(let subclass): subclass.outer
    }
  }

  /// The metadata of the plain tensors that it all comes down to, in order.
  public var leaves: [TensorMeta] {
    switch self {
    case .plain(let meta): [meta]
    case .wrapper(let subclass): subclass.inner.flatMap(\.leaves)
    }
  }

  /// What each of the leaves is.
  public func leafDescriptors(of outer: Descriptor) -> [Descriptor] {
    guard case .wrapper(let subclass) = self else { return [outer] }
    return zip(subclass.names, subclass.inner).flatMap { $1.leafDescriptors(of: .inner($0, of: outer)) }
  }

  /// Whether a tensor is made like this.
  public func describes(_ tensor: Tensor) -> Bool {
    switch self {
    case .plain(let meta):
      tensor.subclass == nil && TensorMeta(tensor).withoutOffset == meta
    case .wrapper(let subclass): subclass.describes(tensor)
    }
  }

  /// A tensor of this structure made of plain ones, which `leaf` gives in order.
  public func wrapped(_ leaf: (TensorMeta) throws -> Tensor) throws -> Tensor {
    switch self {
    case .plain(let meta): try leaf(meta)
    case .wrapper(let subclass): try subclass.wrap(subclass.inner.map { try $0.wrapped(leaf) })
    }
  }
}

/// What makes a tensor one of a wrapper subclass: the type, its metadata, and the structure of its inner tensors.
public struct SubclassMeta: Hashable, @unchecked Sendable {
  // Sendable: metadata are, by their protocol; types and the closure over them have no state.
  public let type: any TensorSubclass.Type
  public let metadata: AnyHashable
  /// The inner tensors' names and structures.
  public let names: [String]
  public let inner: [TensorStructure]
  public let outer: TensorMeta
  /// Wraps inner tensors.
  fileprivate let wrap: ([Tensor]) throws -> Tensor

  /// nil for an ordinary tensor.
  public init?(_ tensor: Tensor) {
    guard let value = tensor.subclass else { return nil }
    self.init(value)
  }

  private init<Subclass: TensorSubclass>(_ value: Subclass) {
    let (metadata, outer) = (value.metadata, value.outer.withoutOffset)
    self.type = Subclass.self
    self.metadata = AnyHashable(metadata)
    self.names = value.innerTensors.map(\.key)
    self.inner = value.innerTensors.map { TensorStructure($0.value) }
    self.outer = outer
    self.wrap = { try Tensor(wrapping: Subclass(innerTensors: $0, metadata: metadata, outer: outer)) }
  }

  /// Whether a tensor is made like this.
  public func describes(_ tensor: Tensor) -> Bool {
    guard let value = tensor.subclass, Swift.type(of: value) == type else { return false }
    let tensors = value.innerTensors
    return tensors.count == inner.count && value.erasedMetadata == metadata && value.outer.withoutOffset == outer
      && zip(inner, tensors).allSatisfy { $0.describes($1.value) }
  }

  public static func == (a: SubclassMeta, b: SubclassMeta) -> Bool {
    a.type == b.type && a.metadata == b.metadata && a.names == b.names && a.inner == b.inner && a.outer == b.outer
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(ObjectIdentifier(type))
    hasher.combine(metadata)
    hasher.combine(names)
    hasher.combine(inner)
    hasher.combine(outer)
  }
}

extension SubclassMeta: CustomStringConvertible {
  /// `TwoTensor of a: float32 [2, 3], b: float32 [2, 3]`
  public var description: String {
    let parts = zip(names, inner).map { "\($0): \($1)" }
    let metadata = metadata.base is NoMetadata ? "" : ", metadata \(metadata)"
    return "\(type) of \(parts.joined(separator: ", "))\(metadata)"
  }
}

extension TensorStructure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .plain(let meta): "\(meta.dtype) \(meta.sizes) strides \(meta.layout.strides)"
    case .wrapper(let subclass): "(\(subclass))"
    }
  }
}

extension TensorMeta {
  fileprivate var withoutOffset: TensorMeta {
    var meta = self
    meta.layout.offset = 0
    return meta
  }
}

extension TensorSubclass {
  fileprivate var erasedMetadata: AnyHashable { AnyHashable(metadata) }
}

extension Tensor {
  /// The plain tensors that this one comes down to, in order: itself, if it is no wrapper.
  public var leaves: [Tensor] {
    guard let subclass else { return [self] }
    return subclass.innerTensors.flatMap(\.value.leaves)
  }

  /// Whether the first element, or that of an inner tensor, is not its storage's first.
  public var startsInside: Bool {
    layout.offset != 0 || (subclass != nil && leaves.contains { $0.layout.offset != 0 })
  }

  /// Whether inner tensors of either lie in memory that the other has as well, though the two are no views of one
  /// tensor.
  public func sharesInnerMemory(with other: Tensor) -> Bool {
    guard subclass != nil || other.subclass != nil, storage !== other.storage else { return false }
    let memory = leaves.map(\.storage)
    return other.leaves.contains { leaf in memory.contains { $0 === leaf.storage } }
  }
}
