import EagerAutograd
import GraphIR
import Operators
import TensorCore

extension InputSignature.TensorGuard {
  /// What holds of a tensor, one of several.
  public init(_ tensor: Tensor, at position: Int, among all: [Tensor]) {
    let shared = Self.sharing(tensor, at: position, among: all)
    let isSame = shared.map { all[$0] === tensor } ?? false
    self.init(
      dtype: tensor.dtype, sizes: tensor.sizes, strides: tensor.strides, device: tensor.device,
      requiresGrad: tensor.requiresGrad, isLeaf: tensor.isLeaf, isInference: tensor.isInference,
      startsInside: tensor.layout.offset != 0,
      sameAs: isSame ? shared : nil,
      overlap: isSame ? nil : shared.map { .init(with: $0, offset: tensor.byteOffset - all[$0].byteOffset) })
  }

  /// Whether the same holds of a tensor; found out without allocating.
  public func accepts(_ tensor: Tensor, at position: Int, among all: [Tensor]) -> Bool {
    guard tensor.dtype == dtype, tensor.layout.sizes == sizes, tensor.layout.strides == strides,
      tensor.device == device, (tensor.layout.offset != 0) == startsInside, tensor.requiresGrad == requiresGrad,
      tensor.isLeaf == isLeaf, tensor.isInference == isInference
    else { return false }
    guard let shared = Self.sharing(tensor, at: position, among: all) else { return sameAs == nil && overlap == nil }
    if all[shared] === tensor { return sameAs == shared }
    return overlap?.with == shared && overlap?.offset == tensor.byteOffset - all[shared].byteOffset
  }

  /// The first tensor before this one in the same storage: the same tensor if it came before.
  private static func sharing(_ tensor: Tensor, at position: Int, among all: [Tensor]) -> Int? {
    var first: Int?
    for other in 0..<position where all[other].storage === tensor.storage {
      if all[other] === tensor { return other }
      first = first ?? other
    }
    return first
  }
}

extension Tensor {
  /// Where the first element is in the storage. Tensors of one storage may differ in dtype.
  fileprivate var byteOffset: Int { layout.offset.value * dtype.byteCount }
}
