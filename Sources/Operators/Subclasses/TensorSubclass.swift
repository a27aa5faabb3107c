import GraphIR
import TensorCore

/// A tensor made of other tensors: quantized data and its scales, a value and its mask.
///
/// A value that conforms is wrapped as a `Tensor`, which then is passed, differentiated and compiled as any other. It
/// has no memory of its own: every operator that is called on it is handed to `dispatch`, below autograd, which
/// computes on the inner tensors. In a compiled function, arguments and results are wrapper tensors outside, and the
/// graphs that run take and give inner tensors alone. These are PyTorch's wrapper subclasses (`__torch_dispatch__`,
/// `__tensor_flatten__`, `__tensor_unflatten__`).
///
///     let w = try Tensor(wrapping: Masked(value: value, mask: mask))
///     let y = try x.matmul(w)                             // Masked.dispatch
///     let masked = w.unwrapped(as: Masked.self)           // the value again
public protocol TensorSubclass {
  /// What results depend on besides inner tensors. A compiled function is compiled anew where it differs.
  associatedtype Metadata: Hashable & Sendable = NoMetadata

  /// The inner tensors by name, of which there is at least one. They may be wrapper tensors themselves. Names are
  /// identifiers.
  var innerTensors: KeyValuePairs<String, Tensor> { get }
  var metadata: Metadata { get }
  /// What the tensor looks like from outside: sizes, strides, dtype, device.
  var outer: TensorMeta { get }

  /// The value again from what it was flattened to, or one like it from other tensors of such dtypes and ranks.
  ///
  /// - Parameters:
  ///   - innerTensors: In the order of the property. They may be fake: only their metadata may be read.
  ///   - outer: What the tensor looks like from outside.
  init(innerTensors: [Tensor], metadata: Metadata, outer: TensorMeta) throws

  /// Computes an operator call that involves a wrapper tensor of this type, in terms of operators on inner tensors.
  ///
  /// Composite operators never arrive here, nor do calls that only change a layout, such as `t_`. Results have the
  /// sizes and the dtype that the operator gives. Those of a view are made of views of inner tensors; those of other
  /// operators have memory of their own. A call in place writes to the inner tensors of its argument; what it gives
  /// here is not looked at.
  ///
  /// - Returns: The results, wrapped or not; nil for a call that the type does not handle, which is then refused with
  ///   an error that names the operator and the type.
  static func dispatch(_ call: OperatorCall) throws -> Value?
}

/// The metadata of a subclass that has none.
public struct NoMetadata: Hashable, Sendable {
  public init() {}
}

extension TensorSubclass where Metadata == NoMetadata {
  public var metadata: NoMetadata { NoMetadata() }
}

extension TensorSubclass {
  /// The value with each of its inner tensors replaced, in order, as by views of them.
  public func mapInnerTensors(_ transform: (Tensor) throws -> Tensor) throws -> Self {
    let tensors = try innerTensors.map { try transform($0.value) }
    return try Self(innerTensors: tensors, metadata: metadata, outer: outer)
  }
}

extension Tensor {
  /// A tensor that stands for a value made of other tensors. It is a leaf that requires no gradient.
  ///
  /// - Throws: `TensorError` where the value has no inner tensor, names one by what is no identifier, or has sizes that
  ///   no tensor could have.
  public convenience init(wrapping value: some TensorSubclass) throws {
    let inner = value.innerTensors
    guard let first = inner.first?.value, inner.allSatisfy({ $0.key.isIdentifier }) else {
      throw TensorError(.invalidSize, "\(type(of: value)) needs an inner tensor at least, and identifiers to name them")
    }
    let outer = value.outer
    let storage = Storage(
      memorylessByteCount: try outer.layout.requiredByteCount(outer.dtype), device: outer.device, isFake: first.isFake)
    storage.isInference = DispatchContext.current.isInferenceMode
    self.init(unchecked: storage, layout: outer.layout, dtype: outer.dtype, wrapperMeta: WrapperRecord(value))
  }

  /// The value that this tensor stands for; nil for an ordinary tensor.
  public var subclass: (any TensorSubclass)? {
    wrapperMeta.map { unsafeDowncast($0, to: WrapperRecord.self).value }
  }

  /// The value that this tensor stands for, if it is of that type.
  public func unwrapped<Subclass: TensorSubclass>(as type: Subclass.Type = Subclass.self) -> Subclass? {
    subclass as? Subclass
  }
}

/// How a tensor carries the value that it stands for.
package final class WrapperRecord: WrapperMeta {
  let value: any TensorSubclass

  package init(_ value: some TensorSubclass) { self.value = value }

  /// `TwoTensor(a: tensor([1.0], float32), b: tensor([2.0], float32))`
  package override var description: String {
    var parts = value.innerTensors.map { "\($0.key): \($0.value)" }
    if !(value.metadata is NoMetadata) { parts.append("metadata: \(value.metadata)") }
    return "\(type(of: value))(\(parts.joined(separator: ", ")))"
  }
}

extension String {
  fileprivate var isIdentifier: Bool {
    first.map { $0.isLetter || $0 == "_" } == true
      && unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || $0 == "_" || ("0"..."9").contains($0))
      }
  }
}
