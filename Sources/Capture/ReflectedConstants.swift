import GraphIR
import TensorCore

/// What a value holds besides tensors, found by reflection.
struct ReflectedConstants {
  private(set) var constants: [Constant] = []
  /// Objects on the way: one may refer to another that refers to it.
  private var visited: Set<ObjectIdentifier> = []

  /// Adds the stored properties of a value, for an object also those of its superclasses.
  mutating func add(propertiesOf value: Any) {
    var mirror: Mirror? = Mirror(reflecting: value)
    while let properties = mirror {
      for property in properties.children { add(property.value, named: property.label ?? "") }
      mirror = properties.superclassMirror
    }
  }

  private mutating func add(_ value: Any, named name: String) {
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .optional {
      // Before the value is asked for what it conforms to: an optional that is there conforms as what it holds.
      constants.append(.bool(!mirror.children.isEmpty))
      for wrapped in mirror.children { add(wrapped.value, named: name) }
    } else if let tree = value as? any TensorTree {
      constants += tree.treeConstants
    } else if Self.isDescribed(value, mirror) {
      constants.append(.string("\(name)=\(value)"))
    } else {
      constants.append(.string("\(name): \(type(of: value)), \(mirror.children.count)"))
      if mirror.displayStyle == .class, !visited.insert(ObjectIdentifier(value as AnyObject)).inserted { return }
      add(propertiesOf: value)
    }
  }

  /// Whether a value's description is all there is to know of it: that of an object is the name of its type, that of a
  /// collection may be made of such.
  private static func isDescribed(_ value: Any, _ mirror: Mirror) -> Bool {
    switch mirror.displayStyle {
    case .class, .collection, .dictionary, .set, .tuple: false
    default: value is any CustomStringConvertible || mirror.children.isEmpty
    }
  }
}
