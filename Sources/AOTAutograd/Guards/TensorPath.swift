import Capture
import TensorCore

/// Where a tensor is in a tree, as Swift would say it: `.weight`, `[1]`, `["bias"]`; found by reflection.
struct TensorPath {
  private let tensor: Tensor
  /// Objects on the way: one may refer to another that refers to it.
  private var visited: Set<ObjectIdentifier> = []

  /// The path of a tensor in a tree; empty where the tree is the tensor, or does not show where it keeps it.
  static func path(of tensor: Tensor, in tree: any TensorTree) -> String {
    var search = TensorPath(tensor: tensor)
    return search.path(in: tree) ?? ""
  }

  private init(tensor: Tensor) { self.tensor = tensor }

  private mutating func path(in value: Any) -> String? {
    if let found = value as? Tensor { return found === tensor ? "" : nil }
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .class, !visited.insert(ObjectIdentifier(value as AnyObject)).inserted { return nil }
    for (index, child) in mirror.children.enumerated() {
      if mirror.displayStyle == .dictionary {
        let entry = Mirror(reflecting: child.value).children.map(\.value)
        if entry.count == 2, let path = path(in: entry[1]) { return "[\(Self.spelled(entry[0]))]" + path }
      } else if let path = path(in: child.value) {
        return Self.step(mirror.displayStyle, child.label, index) + path
      }
    }
    return nil
  }

  private static func step(_ style: Mirror.DisplayStyle?, _ label: String?, _ index: Int) -> String {
    switch style {
    case .optional: ""
    case .collection: "[\(index)]"
    default: ".\(label ?? "\(index)")"
    }
  }

  private static func spelled(_ key: Any) -> String { (key as? String).map { "\"\($0)\"" } ?? "\(key)" }
}
