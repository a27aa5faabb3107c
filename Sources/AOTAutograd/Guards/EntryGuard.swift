import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Decides whether a compiled entry fits a call: an `InputSignature` arranged for checking without building one.
struct EntryGuard {
  /// A guard as an object, which is looked at in its place, with a short way for the most common tensors.
  private final class Check: Sendable {
    private let guarding: InputSignature.TensorGuard
    private let dtype: DType
    private let sizes: [SymInt]
    private let strides: [SymInt]
    private let device: Device
    private let startsInside: Bool
    private let isInference: Bool
    /// Whether the tensor is a leaf without gradients, of no subclass, and alone in its storage.
    private let isPlainAndAlone: Bool

    init(_ guarding: InputSignature.TensorGuard) {
      self.guarding = guarding
      (dtype, sizes, strides, device) = (guarding.dtype, guarding.sizes, guarding.strides, guarding.device)
      (startsInside, isInference) = (guarding.startsInside, guarding.isInference)
      isPlainAndAlone =
        !guarding.requiresGrad && guarding.isLeaf && guarding.subclass == nil && guarding.sameAs == nil
        && guarding.overlap == nil
    }

    func accepts(_ tensor: Tensor, at position: Int, among all: [Tensor], sharesStorage: Bool) -> Bool {
      if isPlainAndAlone, !sharesStorage, tensor.isPlain {
        return tensor.has(dtype, sizes, strides)
          && tensor.lies(on: device, inside: startsInside, isInference: isInference)
      }
      return guarding.accepts(tensor, at: position, among: all, sharesStorage: sharesStorage)
    }
  }

  private let tensors: [InputSignature.TensorGuard]
  private let checks: [Check]
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
    self.checks = self.tensors.map(Check.init)
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
    return StorageTable.with(capacity: all.count) { storages in
      for position in all.indices {
        let isKnown = storages.insert(all[position].storage)
        guard checks[position].accepts(all[position], at: position, among: all, sharesStorage: isKnown)
        else { return false }
      }
      return !hasSubclasses || innerOverlapsAgree(all)
    }
  }

  private func innerOverlapsAgree(_ all: [Tensor]) -> Bool {
    all.indices.allSatisfy { position in
      InputSignature.TensorGuard.innerOverlap(of: all[position], at: position, among: all)
        == tensors[position].innerOverlap
    }
  }

  /// What a call differs in from what the entry was compiled for.
  ///
  /// - Parameter arguments: Says which argument each of the call's tensors is.
  func failures(of called: EntryGuard, naming arguments: [GuardFailure.Subject]) -> [GuardFailure] {
    var failures: [GuardFailure] = []
    func compare(_ fact: GuardFailure.Fact, _ compiled: String, _ called: String) {
      if compiled != called {
        failures.append(.init(subject: .call, fact: fact, compiled: compiled, called: called))
      }
    }
    compare(.gradMode, isGradEnabled ? "on" : "off", called.isGradEnabled ? "on" : "off")
    compare(.inferenceMode, isInferenceMode ? "on" : "off", called.isInferenceMode ? "on" : "off")
    compare(
      .autocast, autocastDType.map { "\($0)" } ?? "off", called.autocastDType.map { "\($0)" } ?? "off")
    if hooks !== called.hooks {
      failures.append(.init(subject: .call, fact: .savedTensorHooks, compiled: "others", called: "these"))
    }
    compare(.constants, "\(constants.map(Self.spelled))", "\(called.constants.map(Self.spelled))")
    compare(.tensorCount, "\(tensors.count)", "\(called.tensors.count)")
    guard tensors.count == called.tensors.count else { return failures }
    func name(_ index: Int) -> GuardFailure.Subject {
      arguments.indices.contains(index) ? arguments[index] : .captured(index - arguments.count)
    }
    for index in tensors.indices {
      failures += tensors[index].failures(name(index), of: called.tensors[index], naming: name)
    }
    return failures
  }

  private static func spelled(_ constant: Constant) -> String {
    switch constant {
    case .none: "nil"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    default: "\(constant)"
    }
  }
}
