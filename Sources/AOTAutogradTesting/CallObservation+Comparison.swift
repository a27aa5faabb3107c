import AOTAutograd
import Capture
import EagerAutograd
import GraphIR
import Operators
import TensorCore

// Compiled calls as seen against eager ones.
extension CallObservation {
  /// The error, where this call says that it is not able to do what the eager one does.
  func refusal(where eager: CallObservation) -> (any Error)? {
    guard let failure, failure.error.isRefusal, failure.stage != .call || !hasWritten else { return nil }
    guard let wanted = eager.failure else { return failure.error }
    let isSame = wanted.stage == failure.stage && type(of: wanted.error) == type(of: failure.error)
    return wanted.stage < failure.stage || isSame ? nil : failure.error
  }

  /// The differences, in words; empty where there are none.
  ///
  /// Where the eager call throws, this one has to, before it writes. An eager backward pass throws where a value that it needs
  /// was overwritten: this one may not have needed it.
  func differences(from eager: CallObservation) -> [String] {
    if let wanted = eager.failure, wanted.stage != .backward {
      guard let failure else { return ["does not throw, eagerly: \(wanted.error.unlocated)"] }
      guard failure.stage == wanted.stage else {
        return ["throws \(failure.error.unlocated), eagerly only later: \(wanted.error.unlocated)"]
      }
      // What is wrong whatever the elements are is found before anything runs.
      guard type(of: failure.error) == type(of: wanted.error) || wanted.error.isFoundWhenRun else {
        return ["throws \(failure.error.unlocated), eagerly: \(wanted.error.unlocated)"]
      }
      return failure.stage == .call && hasWritten && !failure.error.isFoundWhenRun
        ? ["writes, then throws \(failure.error.unlocated)"] : []
    }
    if let failure, failure.stage != .backward || eager.failure == nil {
      return ["throws in the \(failure.stage) \(failure.error.unlocated)"]
    }
    return zip(facts, eager.facts).compactMap { $0.difference(from: $1) }
  }

  private var hasWritten: Bool {
    facts.contains { $0.stage == .call && $0.property == .isWritten && $0.value == .flag(true) }
  }
}

extension CallObservation.Fact {
  fileprivate func difference(from eager: Self) -> String? {
    guard subject == eager.subject, property == eager.property else {
      return
        "\(place): \(property.rawValue) \(value), where eagerly \(eager.place): \(eager.property.rawValue) \(eager.value)"
    }
    return value.agrees(with: eager.value) ? nil : "\(place): \(property.rawValue) \(value), eagerly \(eager.value)"
  }

  private var place: String { stage == .afterwards ? "\(subject) afterwards" : "\(subject)" }
}

extension CallObservation.Observed {
  fileprivate func agrees(with other: Self) -> Bool {
    guard case .elements(let got, let dtype) = self, case .elements(let wanted, _) = other else {
      return self == other || self == .unspecified || other == .unspecified
    }
    let tolerance = dtype.comparisonTolerance
    return got.count == wanted.count
      && zip(got, wanted).allSatisfy { a, b in
        a == b || (a.isNaN && b.isNaN) || abs(a - b) <= tolerance * max(1, abs(a), abs(b))
      }
  }
}

extension DType {
  /// The relative difference that the order of operations may make over a few of them.
  fileprivate var comparisonTolerance: Double {
    switch self {
    case .float16: 5e-3
    case .bfloat16: 4e-2
    case .float32, .float64: 1e-4
    default: 0
    }
  }
}

extension CallObservation.Subject: CustomStringConvertible {
  var description: String {
    switch self {
    case .call: "the call"
    case .argument(let index): "argument \(index)"
    case .captured(let index): "captured tensor \(index)"
    case .output(let index): "output \(index)"
    case .leaf(let index): "leaf \(index)"
    }
  }
}

extension CallObservation.Observed: CustomStringConvertible {
  var description: String {
    switch self {
    case .flag(let flag): "\(flag)"
    case .dtype(let dtype): "\(dtype)"
    case .integers(let integers): "\(integers)"
    case .tensor(let subject): subject.map { "\($0)" } ?? "none"
    case .elements(let elements, _): "\(elements)"
    case .unspecified: "unspecified"
    }
  }
}

extension Error {
  /// The error without where it was thrown: looking a line up in the debug information takes long.
  package var unlocated: any Error {
    guard var error = self as? any LocatedError else { return self }
    error.source = nil
    return error
  }

  /// Whether only the elements of tensors tell.
  fileprivate var isFoundWhenRun: Bool {
    (self as? OperatorError).map { [.index, .elements, .assertion].contains($0.code) } ?? false
  }

  /// Whether the error says that something is not supported, rather than wrong.
  fileprivate var isRefusal: Bool {
    switch self {
    case let error as AOTError: error.code == .unsupported
    case let error as CaptureError: error.code == .unsupported
    case let error as OperatorError: error.code == .notImplemented || error.code == .dataDependent
    case let error as AutogradError: [.notCapturable, .notDifferentiable, .modifiedInPlace].contains(error.code)
    default: false
    }
  }
}
