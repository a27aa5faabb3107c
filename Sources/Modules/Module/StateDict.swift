import AOTAutograd

/// Tensors by name, in an order: the state of a module or an optimizer.
public struct StateDict: Sequence {
  public private(set) var entries: [NamedTensor]
  private let positions: [String: Int]

  /// - Throws: `ModuleError` with code `duplicateName`.
  public init(_ entries: [NamedTensor]) throws(ModuleError) {
    var positions: [String: Int] = [:]
    for (position, entry) in entries.enumerated() {
      guard positions.updateValue(position, forKey: entry.name) == nil else {
        throw ModuleError(.duplicateName, "there are two tensors of the name '\(entry.name)'; rename a property")
      }
    }
    self.entries = entries
    self.positions = positions
  }

  public subscript(name: String) -> Tensor? { positions[name].map { entries[$0].tensor } }

  public var names: [String] { entries.map(\.name) }
  public var count: Int { entries.count }
  public func makeIterator() -> IndexingIterator<[NamedTensor]> { entries.makeIterator() }

  /// The entries whose names begin with a part's name and a dot, without these.
  public func inside(_ part: String) throws(ModuleError) -> StateDict {
    try StateDict(
      entries.compactMap { entry in
        entry.name.hasPrefix(part + ".") ? NamedTensor(String(entry.name.dropFirst(part.count + 1)), entry.tensor) : nil
      })
  }
}

extension StateDict {
  /// Names that two states do not have in common.
  public struct Difference: Hashable, Sendable {
    /// Names that were wanted and are not there.
    public var missing: [String]
    /// Names that are there and were not wanted.
    public var unexpected: [String]
  }

  /// Checks that this state fits tensors, whose names are looked up.
  ///
  /// - Parameters:
  ///   - what: Says whose state it is, for messages.
  ///   - strict: Whether all names have to agree.
  /// - Returns: The names that do not.
  /// - Throws: `ModuleError`: one error that lists everything that does not fit.
  @discardableResult
  func check(against targets: [NamedTensor], of what: String, strict: Bool = true) throws(ModuleError) -> Difference {
    let wanted = Set(targets.map(\.name))
    let difference = Difference(
      missing: targets.map(\.name).filter { self[$0] == nil }, unexpected: names.filter { !wanted.contains($0) })
    var problems: [(code: ModuleError.Code, text: String)] = []
    if strict {
      problems += difference.missing.map { (.missingName, "'\($0)' is missing") }
      problems += difference.unexpected.map { (.unexpectedName, "'\($0)' is not wanted") }
    }
    for target in targets {
      guard let source = self[target.name] else { continue }
      if source.shape != target.tensor.shape {
        problems.append(
          (.shapeMismatch, "'\(target.name)' has shape \(source.shape) where \(target.tensor.shape) is wanted"))
      } else if source.dtype != target.tensor.dtype {
        problems.append(
          (.dtypeMismatch, "'\(target.name)' is \(source.dtype) where \(target.tensor.dtype) is wanted; convert it"))
      }
    }
    if let first = problems.first {
      throw ModuleError(first.code, "a state does not fit \(what): " + problems.map(\.text).joined(separator: "; "))
    }
    return difference
  }

  /// Copies elements into tensors of the same names.
  func copy(into targets: [NamedTensor]) throws {
    try noGrad {
      for target in targets { if let source = self[target.name] { try target.tensor.copy_(source) } }
    }
  }
}

extension Module {
  /// All parameters and persistent buffers, under all their names: what a checkpoint holds. The tensors are the module's own.
  ///
  /// - Throws: `ModuleError` where two properties have the same name.
  public final var stateDict: StateDict {
    get throws { try StateDict(slots([.parameter, .buffer])) }
  }

  /// Copies elements into the parameters and buffers, which stay the tensors that they are: optimizers and compiled functions see
  /// the new values.
  ///
  /// - Parameter strict: Whether a name that only the module or only `state` has is an error.
  /// - Returns: Such names.
  /// - Throws: `ModuleError` that lists all names, shapes and types that do not fit. Nothing has changed then.
  @discardableResult
  public final func load(_ state: StateDict, strict: Bool = true) throws -> StateDict.Difference {
    let targets = try stateDict.entries
    let difference = try state.check(against: targets, of: "\(type(of: self))", strict: strict)
    try state.copy(into: targets)
    return difference
  }
}
