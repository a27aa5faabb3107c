import AOTAutograd

/// What one module's stored properties hold, found by reflection: its own tensors, and the modules right inside it.
struct ModuleWalk {
  private(set) var slots: [(name: String, role: ModuleSlotRole, tensor: Tensor)] = []
  private(set) var children: [(name: String, module: Module)] = []

  init(_ module: Module) {
    // Properties of superclasses come first, as they are declared and set first.
    var mirrors: [Mirror] = []
    var mirror: Mirror? = Mirror(reflecting: module)
    while let properties = mirror {
      mirrors.insert(properties, at: 0)
      mirror = properties.superclassMirror
    }
    let type = type(of: module)
    for child in mirrors.flatMap(\.children) {
      add(child.value, at: type.stateName(of: Self.property(child.label ?? "")))
    }
  }

  /// The name in the source of a property: storage of wrapped and lazy properties is called something else.
  private static func property(_ label: String) -> String {
    let lazyPrefix = "$__lazy_storage_$_"
    if label.hasPrefix(lazyPrefix) { return String(label.dropFirst(lazyPrefix.count)) }
    return label.hasPrefix("_") ? String(label.dropFirst()) : label
  }

  private mutating func add(_ value: Any, at name: String) {
    if let slot = value as? any ModuleSlot {
      for (key, tensor) in slot.tensors { slots.append((Self.join(name, key), slot.role, tensor)) }
    } else if type(of: value) is Module.Type, let module = value as? Module {
      // Asked for its type first: a cast of an array to a class bridges it, element by element.
      children.append((name, module))
    } else {
      addContents(of: value, at: name)
    }
  }

  /// Looks for modules in what is no module.
  private mutating func addContents(of value: Any, at name: String) {
    if let collection = value as? any Collection, !Self.mayHoldModules(collection) { return }
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .optional:
      for child in mirror.children { add(child.value, at: name) }
    case .collection:
      for (index, child) in mirror.children.enumerated() { add(child.value, at: Self.join(name, "\(index)")) }
    case .dictionary:
      let entries = mirror.children.compactMap { child -> (key: String, value: Any)? in
        let pair = Mirror(reflecting: child.value).children.map(\.value)
        return pair.count == 2 ? ("\(pair[0])", pair[1]) : nil
      }
      for entry in entries.sorted(by: { $0.key < $1.key }) { add(entry.value, at: Self.join(name, entry.key)) }
    case .struct, .tuple:
      for child in mirror.children { add(child.value, at: Self.join(name, child.label?.snakeCased)) }
    default: break
    }
  }

  /// A list of a million numbers is not looked through one by one.
  private static func mayHoldModules<Elements: Collection>(_: Elements) -> Bool {
    !(Elements.Element.self is any Numeric.Type || Elements.self is any StringProtocol.Type)
  }

  private static func join(_ name: String, _ key: String?) -> String {
    guard let key, !key.isEmpty else { return name }
    return name.isEmpty ? key : "\(name).\(key)"
  }
}

extension Module {
  /// Calls `body` with this module and each inside it, with its name: empty for this one. A module that is found in several
  /// places is visited in each, but never inside itself.
  func forEachModule(_ body: (_ name: String, _ module: Module, _ walk: ModuleWalk) -> Void) {
    visit("", inside: [], body)
  }

  private func visit(
    _ name: String, inside ancestors: Set<ObjectIdentifier>, _ body: (String, Module, ModuleWalk) -> Void
  ) {
    if ancestors.contains(ObjectIdentifier(self)) { return }
    let walk = ModuleWalk(self)
    body(name, self, walk)
    for child in walk.children {
      let childName = [name, child.name].filter { !$0.isEmpty }.joined(separator: ".")
      child.module.visit(childName, inside: ancestors.union([ObjectIdentifier(self)]), body)
    }
  }

  /// All tensors of some roles with their names, a module's own before those of the modules inside it.
  func slots(_ roles: Set<ModuleSlotRole>) -> [NamedTensor] {
    var result: [NamedTensor] = []
    forEachModule { name, _, walk in
      for slot in walk.slots where roles.contains(slot.role) {
        result.append(NamedTensor(name.isEmpty ? slot.name : "\(name).\(slot.name)", slot.tensor))
      }
    }
    return result
  }
}

extension String {
  /// `runningMean` as `running_mean`.
  var snakeCased: String {
    var result = ""
    for character in self {
      if character.isUppercase, let last = result.last, last != "_", !last.isUppercase { result.append("_") }
      result += character.lowercased()
    }
    return result
  }
}
