import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Decides whether a compiled entry fits a call: an `InputSignature` arranged for checking without building one.
struct EntryGuard {
  private let tensors: [InputSignature.TensorGuard]
  private let constants: [Constant]
  private let isGradEnabled: Bool
  private let isInferenceMode: Bool
  private let autocastDType: DType?
  /// What becomes of saved tensors: part of the compiled graphs.
  private let hooks: SavedTensorHooks?
  private let hasSubclasses: Bool

  /// - Parameter tensors: The call's tensors, then the tensors that the closure captured.
  init(_ tensors: [Tensor], constants: [Constant], context: DispatchContext) {
    self.tensors = tensors.indices.map { InputSignature.TensorGuard(tensors[$0], at: $0, among: tensors) }
    self.constants = constants
    self.isGradEnabled = context.isGradEnabled
    self.isInferenceMode = context.isInferenceMode
    self.autocastDType = context.autocastDType
    self.hooks = SavedTensorHooks.inUse
    self.hasSubclasses = self.tensors.contains { $0.subclass != nil }
  }

  var signature: InputSignature {
    InputSignature(
      arguments: tensors.map { .reference($0) } + constants.map { $0.widened() }, isGradEnabled: isGradEnabled,
      isInferenceMode: isInferenceMode)
  }

  /// Whether a call with these arguments may use the entry.
  func accepts(_ tensors: [Tensor], _ closedOver: [Tensor], constants: [Constant], context: DispatchContext) -> Bool {
    guard context.isGradEnabled == isGradEnabled, context.isInferenceMode == isInferenceMode,
      tensors.count + closedOver.count == self.tensors.count, constants == self.constants,
      context.autocastDType == autocastDType, SavedTensorHooks.inUse === hooks
    else { return false }
    let all = closedOver.isEmpty ? tensors : tensors + closedOver
    for position in all.indices where !self.tensors[position].accepts(all[position], at: position, among: all) {
      return false
    }
    return !hasSubclasses || innerOverlapsAgree(all)
  }

  private func innerOverlapsAgree(_ all: [Tensor]) -> Bool {
    all.indices.allSatisfy { position in
      InputSignature.TensorGuard.innerOverlap(of: all[position], at: position, among: all)
        == tensors[position].innerOverlap
    }
  }

  /// The first difference between what the entry was compiled for and a call, in words.
  func difference(from other: EntryGuard) -> String {
    if isGradEnabled != other.isGradEnabled { return "grad mode was \(isGradEnabled), is \(other.isGradEnabled)" }
    if isInferenceMode != other.isInferenceMode {
      return "inference mode was \(isInferenceMode), is \(other.isInferenceMode)"
    }
    if autocastDType != other.autocastDType { return "autocast is for another type, or off" }
    if hooks !== other.hooks { return "other hooks for saved tensors are in use" }
    if constants != other.constants { return "an argument that is no tensor changed, or the structure of one" }
    for (position, (mine, theirs)) in zip(tensors, other.tensors).enumerated() where mine != theirs {
      return "tensor \(position) was \(mine), is \(theirs)"
    }
    return "the number of tensors was \(tensors.count), is \(other.tensors.count)"
  }
}

extension InputSignature.TensorGuard {
  init(_ tensor: Tensor, at position: Int, among all: [Tensor]) {
    let shared = Self.sharing(tensor, at: position, among: all)
    let isSame = shared.map { all[$0] === tensor } ?? false
    self.init(
      dtype: tensor.dtype, sizes: tensor.sizes, strides: tensor.strides, device: tensor.device,
      requiresGrad: tensor.requiresGrad, isLeaf: tensor.isLeaf, isInference: tensor.isInference,
      startsInside: tensor.startsInside,
      sameAs: isSame ? shared : nil,
      overlap: isSame ? nil : shared.map { Overlap(tensor, with: $0, all[$0]) },
      subclass: SubclassMeta(tensor), innerOverlap: Self.innerOverlap(of: tensor, at: position, among: all))
  }

  /// Whether a tensor is an ordinary one, or of the subclass, metadata and structure, as this asks.
  private func isMadeAs(_ tensor: Tensor) -> Bool { subclass?.describes(tensor) ?? (tensor.subclass == nil) }

  /// The first tensor before this one that shares memory with it through inner tensors alone.
  static func innerOverlap(of tensor: Tensor, at position: Int, among all: [Tensor]) -> Int? {
    all[..<position].firstIndex { tensor.sharesInnerMemory(with: $0) }
  }

  func accepts(_ tensor: Tensor, at position: Int, among all: [Tensor]) -> Bool {
    guard tensor.dtype == dtype, tensor.layout.sizes == sizes, tensor.layout.strides == strides,
      tensor.device == device, tensor.startsInside == startsInside, tensor.requiresGrad == requiresGrad,
      tensor.isLeaf == isLeaf, tensor.isInference == isInference, isMadeAs(tensor)
    else { return false }
    guard let shared = Self.sharing(tensor, at: position, among: all) else { return sameAs == nil && overlap == nil }
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
    let offset = other.layout.offset.value
    let sharesBase = base === otherBase
    self.init(
      with: position, offset: tensor.layout.offset.value - (sharesBase ? offset : 0), sharesBase: sharesBase,
      bases: (sharesBase ? [base] : [otherBase, base]).map {
        .init(
          layout: Layout(
            sizes: $0.sizes, strides: $0.strides,
            offset: sharesBase ? $0.layout.offset - other.layout.offset : $0.layout.offset),
          requiresGrad: $0.requiresGrad, isLeaf: $0.isLeaf, subclass: SubclassMeta($0))
      })
  }
}

extension InputSignature.TensorGuard: CustomStringConvertible {
  public var description: String {
    var parts = ["\(dtype) \(sizes) strides \(strides) on \(device)"]
    if startsInside { parts.append("starting inside its storage") }
    if requiresGrad { parts.append(isLeaf ? "a leaf that requires grad" : "requiring grad") }
    if isInference { parts.append("made in inference mode") }
    if let sameAs { parts.append("the same as tensor \(sameAs)") }
    if let overlap { parts.append("in one storage with tensor \(overlap.with), \(overlap.offset) elements on") }
    if let subclass { parts.append("a \(subclass)") }
    if let innerOverlap { parts.append("sharing inner memory with tensor \(innerOverlap)") }
    return parts.joined(separator: ", ")
  }
}
