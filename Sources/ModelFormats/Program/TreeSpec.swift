import GraphIR

/// How arguments and results nest: what PyTorch calls a pytree.
indirect enum TreeSpec {
  case leaf
  case tuple([TreeSpec])
  case list([TreeSpec])
  case dictionary([String], [TreeSpec])

  /// Reads `[1, spec]`, JSON in a string.
  init(parsing text: String) throws(ModelFormatError) {
    do {
      let json = try JSONValue(parsing: text).array("tree")
      guard json.count == 2, case .int(1) = json[0] else {
        throw ModelFormatError(.unsupported, "a tree is not of version 1")
      }
      self = try TreeSpec(json[1])
    } catch let error as GraphError {
      throw ModelFormatError(.malformed, "a tree is no JSON: \(error.message)")
    } catch let error as ModelFormatError {
      throw error
    } catch {
      throw ModelFormatError(.malformed, "a tree cannot be read: \(error)")
    }
  }

  private init(_ json: JSONValue) throws(ModelFormatError) {
    guard let type = try json.optional("type")?.string("type") else {
      self = .leaf
      return
    }
    let children = try json.required("children_spec").map("children_spec") { json throws(ModelFormatError) in
      try TreeSpec(json)
    }
    switch type {
    case "builtins.list", "collections.deque": self = .list(children)
    case "builtins.dict", "collections.OrderedDict", "collections.defaultdict":
      self = .dictionary(try Self.keys(json.required("context").string("context"), count: children.count), children)
    // Named tuples, and other types that are registered as trees, are their elements in order.
    default: self = .tuple(children)
    }
  }

  /// The keys of a dictionary: a JSON list in a string, the last of its elements for a `defaultdict`.
  private static func keys(_ text: String, count: Int) throws(ModelFormatError) -> [String] {
    guard var json = try? JSONValue(parsing: text) else {
      throw ModelFormatError(.malformed, "the keys of a dictionary are no JSON: \(text)")
    }
    if case .array(let parts) = json, case .array? = parts.last { json = parts[parts.count - 1] }
    var keys: [String] = []
    for key in try json.array("keys") {
      if case .string(let name) = key { keys.append(name) } else { keys.append(key.text) }
    }
    guard keys.count == count, Set(keys).count == count else {
      throw ModelFormatError(.malformed, "a dictionary of \(count) values has the keys \(keys)")
    }
    return keys
  }

  var leafCount: Int {
    switch self {
    case .leaf: 1
    case .tuple(let children), .list(let children), .dictionary(_, let children):
      children.reduce(0) { $0 + $1.leafCount }
    }
  }

  /// The leaves of a value, depth first. A `none` is a leaf.
  ///
  /// - Throws: `ModelFormatError` with code `invalidArgument`, naming the place that has another structure.
  func flatten(_ value: Value, at place: String, into leaves: inout [Value]) throws(ModelFormatError) {
    switch (self, value) {
    case (.leaf, _): leaves.append(value)
    case (.tuple(let children), .tuple(let values)), (.tuple(let children), .list(let values)),
      (.list(let children), .list(let values)), (.list(let children), .tuple(let values)):
      guard children.count == values.count else {
        throw ModelFormatError(.invalidArgument, "needs \(children.count) values, got \(values.count)", argument: place)
      }
      for (position, (child, value)) in zip(children, values).enumerated() {
        try child.flatten(value, at: "\(place)[\(position)]", into: &leaves)
      }
    case (.dictionary(let keys, let children), .dictionary(let entries)):
      guard Set(keys) == Set(entries.map(\.key)), keys.count == entries.count else {
        throw ModelFormatError(
          .invalidArgument, "needs the keys \(keys), got \(entries.map(\.key))", argument: place)
      }
      for (key, child) in zip(keys, children) {
        guard let entry = entries.first(where: { $0.key == key }) else { continue }
        try child.flatten(entry.value, at: "\(place)['\(key)']", into: &leaves)
      }
    default:
      throw ModelFormatError(
        .invalidArgument, "has not the structure that the program was exported for", argument: place)
    }
  }

  /// Puts leaves together.
  ///
  /// - Precondition: There are at least `leafCount` left.
  func unflatten(_ leaves: inout ArraySlice<Value>) -> Value {
    switch self {
    case .leaf: leaves.popFirst() ?? .none
    case .tuple(let children): .tuple(children.map { $0.unflatten(&leaves) })
    case .list(let children): .list(children.map { $0.unflatten(&leaves) })
    case .dictionary(let keys, let children):
      .dictionary(zip(keys, children).map { .init(key: $0, value: $1.unflatten(&leaves)) })
    }
  }
}
