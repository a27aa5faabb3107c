import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Decides whether a compiled entry fits a call: an `InputSignature` arranged for checking without building one.
final class EntryGuard: Sendable {
  /// A guard as an object, which is looked at in its place, with a short way for the most common tensors.
  private final class Check: Sendable {
    private let guarding: InputSignature.TensorGuard
    private let geometry: PlainGeometry
    /// Whether the tensor is a leaf without gradients, of no subclass, and alone in its storage.
    private let isPlainAndAlone: Bool

    init(_ guarding: InputSignature.TensorGuard) {
      self.guarding = guarding
      geometry = PlainGeometry(
        dtype: guarding.dtype, sizes: guarding.sizes, strides: guarding.strides, device: guarding.device,
        startsInside: guarding.startsInside, isInference: guarding.isInference)
      isPlainAndAlone =
        !guarding.requiresGrad && guarding.isLeaf && guarding.subclass == nil && guarding.sameAs == nil
        && guarding.overlap == nil
    }

    func accepts(_ tensor: Tensor, at position: Int, among all: [Tensor], sharesStorage: Bool) -> Bool {
      if isPlainAndAlone, !sharesStorage, geometry.describes(tensor) { return true }
      return guarding.accepts(tensor, at: position, among: all, sharesStorage: sharesStorage)
    }
  }

  private let tensors: [InputSignature.TensorGuard]
  private let checks: [Check]
  /// The same, to be called without being retained.
  private let unretainedChecks: [Unmanaged<Check>]
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
    self.unretainedChecks = checks.map(Unmanaged.passUnretained)
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
      tensors.count + closedOver.count == self.tensors.count, Self.areEqual(constants, self.constants),
      context.autocastDType == autocastDType, SavedTensorHooks.inUse === hooks
    else { return false }
    let all = closedOver.isEmpty ? tensors : tensors + closedOver
    return StorageTable.with(capacity: all.count) { storages in
      // Both arrays keep what is in them alive meanwhile: counting references would take longer than all that is checked.
      for position in all.indices {
        let isAccepted = Unmanaged.passUnretained(all[position])._withUnsafeGuaranteedRef { tensor in
          let isKnown = storages.insert(tensor.storageIdentity)
          return unretainedChecks[position]._withUnsafeGuaranteedRef {
            $0.accepts(tensor, at: position, among: all, sharesStorage: isKnown)
          }
        }
        guard isAccepted else { return false }
      }
      return !hasSubclasses || innerOverlapsAgree(all)
    }
  }

  /// Equality that is quick for what most calls have: the sizes of lists and plain settings.
  private static func areEqual(_ constants: [Constant], _ others: [Constant]) -> Bool {
    constants.count == others.count
      && constants.indices.allSatisfy { index in
        switch (constants[index], others[index]) {
        case (.int(let one), .int(let other)): one == other
        case (.bool(let one), .bool(let other)): one == other
        case (let one, let other): one == other
        }
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
