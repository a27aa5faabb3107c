import AOTArtifacts
import Capture
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// The compiled entries of one function, by the signature of the calls that they fit.
final class GuardTable<Output>: Sendable {
  private let configuration: AOTConfiguration
  let source: SourceLocation
  /// Of this output. Latest first: the next call most likely is like the last.
  private let entries = Locked<[GuardedEntry]>([])
  /// Held while a closure is captured and compiled, so that a signature is compiled once.
  private let compiling = Locked(())

  init(_ configuration: AOTConfiguration, _ source: SourceLocation) {
    self.configuration = configuration
    self.source = source
  }

  var entryCount: Int { entries.withLock { $0.count } }

  /// Whether calls run the closure itself: compilation is off, or an outer function is being captured, which then sees
  /// every operator of this one.
  var runsEagerly: Bool {
    if case .none = configuration.compiler { return true }
    return DispatchContext.current.mode != nil
  }

  /// The entry for a call, made where there is none.
  ///
  /// - Parameter names: Says which argument each tensor is, for messages.
  func entry(
    _ tensors: [Tensor], _ constants: [Constant], naming names: () -> [GuardFailure.Subject],
    capturing function: ([Tensor]) throws -> OutputTree<Output>
  ) throws -> CompiledEntry<Output> {
    if let entry = find(tensors, constants) {
      AOTLog.send(.cache, from: source, .cacheHit(entryCount: entryCount))
      return entry
    }
    return try compiling.withLock { _ in
      if let entry = find(tensors, constants) { return entry }
      let known = entries.withLock { $0 }
      AOTLog.send(.cache, from: source, .cacheMiss(entryCount: known.count))
      if !known.isEmpty {
        AOTLog.send(.recompiles, from: source, .recompile(failures(of: known, tensors, constants, names())))
      }
      guard known.count < configuration.maximumEntryCount else {
        throw tooManyEntries(known, tensors, constants, names())
      }
      let entry = try CompiledEntry(tensors, constants, configuration, source, capturing: function)
      entries.withLock { $0.insert(entry, at: 0) }
      return entry
    }
  }

  private func find(_ tensors: [Tensor], _ constants: [Constant]) -> CompiledEntry<Output>? {
    let known = entries.withLock { $0 }
    return known.first(accepting: tensors, constants, context: .current).map {
      unsafeDowncast($0, to: CompiledEntry<Output>.self)
    }
  }

  /// Why a call fits none of the entries.
  private func failures(
    of known: [GuardedEntry], _ tensors: [Tensor], _ constants: [Constant], _ names: [GuardFailure.Subject]
  ) -> [[GuardFailure]] {
    known.map { $0.failures(tensors, constants, naming: names) }
  }

  private func tooManyEntries(
    _ known: [GuardedEntry], _ tensors: [Tensor], _ constants: [Constant], _ names: [GuardFailure.Subject]
  ) -> AOTError {
    let reasons = failures(of: Array(known.prefix(1)), tensors, constants, names).flatMap(\.self)
    return AOTError(
      .tooManyEntries,
      "the function is compiled for \(known.count) signatures already, the most that its configuration allows; "
        + "compared with the latest one, \(reasons.map(\.description).joined(separator: "; "))",
      source: source)
  }
}
