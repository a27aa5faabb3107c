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
      requiresGrad: tensor.requiresGrad, isLeaf: tensor.isLeaf, viewGradient: tensor.viewGradient,
      isInference: tensor.isInference,
      startsInside: tensor.startsInside,
      sameAs: isSame ? shared : nil,
      overlap: isSame ? nil : shared.map { Overlap(tensor, with: $0, all[$0]) },
      subclass: SubclassMeta(tensor), innerOverlap: Self.innerOverlap(of: tensor, at: position, among: all))
  }

  /// Whether autograd, subclass and place in memory are as this asks.
  private func hasState(_ tensor: Tensor) -> Bool {
    tensor.device == device && tensor.startsInside == startsInside && tensor.requiresGrad == requiresGrad
      && tensor.isLeaf == isLeaf && tensor.viewGradient == viewGradient && tensor.isInference == isInference
      && isMadeAs(tensor)
  }

  /// Whether a tensor is an ordinary one, or of the subclass, metadata and structure, as this asks.
  private func isMadeAs(_ tensor: Tensor) -> Bool { subclass?.describes(tensor) ?? (tensor.subclass == nil) }

  /// The first tensor before this one that shares memory with it through inner tensors alone.
  public static func innerOverlap(of tensor: Tensor, at position: Int, among all: [Tensor]) -> Int? {
    all[..<position].firstIndex { tensor.sharesInnerMemory(with: $0) }
  }

  /// Whether the same holds of a tensor; found out without allocating.
  ///
  /// - Parameter sharesStorage: Whether a tensor before this one lies in the same storage.
  public func accepts(_ tensor: Tensor, at position: Int, among all: [Tensor], sharesStorage: Bool) -> Bool {
    guard tensor.has(dtype, sizes, strides), hasState(tensor) else { return false }
    guard sharesStorage, let shared = Self.sharing(tensor, at: position, among: all) else {
      return sameAs == nil && overlap == nil
    }
    if all[shared] === tensor { return sameAs == shared }
    return overlap == Overlap(tensor, with: shared, all[shared])
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

extension InputSignature.TensorGuard.Overlap {
  fileprivate init(_ tensor: Tensor, with position: Int, _ other: Tensor) {
    let (base, otherBase) = (tensor.viewMeta?.base ?? tensor, other.viewMeta?.base ?? other)
    let sharesBase = base === otherBase
    // Where autograd knows no common base, the graph looks at the storage, and places in it count.
    let start = sharesBase ? other.byteOffset : 0
    self.init(
      with: position, offset: tensor.byteOffset - start, sharesBase: sharesBase,
      bases: (sharesBase ? [base] : [otherBase, base]).map { base in
        .init(
          sizes: base.sizes, strides: base.strides, offset: base.byteOffset - start, requiresGrad: base.requiresGrad,
          isLeaf: base.isLeaf, isArgument: base === tensor || base === other, subclass: SubclassMeta(base))
      })
  }
}

extension Tensor {
  /// Where the first element is in the storage. Tensors of one storage may differ in dtype.
  fileprivate var byteOffset: Int { layout.offset.value * dtype.byteCount }
}
