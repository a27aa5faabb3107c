import TensorCore

// module {
//   attribute "layers.0.weight": f32[4, 2]
//   module "body" {
//     graph(x) { ... }
//   }
//   graph(x: f32[8, 4]) { ... }
// }

extension GraphModule: CustomStringConvertible {
  /// The graph, the metadata of its attributes and its nested modules as text. Attributes that share a storage show its number.
  public var description: String {
    var shared = SharedStorages()
    collectStorages(into: &shared)
    return "module " + body(indent: "", &shared) + "\n"
  }

  private func collectStorages(into shared: inout SharedStorages) {
    for (_, tensor) in attributes.sorted(by: { $0.key < $1.key }) { shared.count(tensor.storage) }
    for (_, module) in modules.sorted(by: { $0.key < $1.key }) { module.collectStorages(into: &shared) }
  }

  private func body(indent: String, _ shared: inout SharedStorages) -> String {
    var text = "{\n"
    for (path, tensor) in attributes.sorted(by: { $0.key < $1.key }) {
      var meta = TensorMeta(tensor)
      meta.storageID = shared.number(of: tensor.storage)
      text += "\(indent)  attribute \(TextForm.quoted(path)): \(meta)\n"
    }
    for (path, module) in modules.sorted(by: { $0.key < $1.key }) {
      text += "\(indent)  module \(TextForm.quoted(path)) \(module.body(indent: indent + "  ", &shared))\n"
    }
    return text + GraphPrinter(graph, indent: indent + "  ").text + "\n\(indent)}"
  }
}

/// Numbers for storages that more than one attribute lies in.
private struct SharedStorages {
  private var uses: [ObjectIdentifier: Int] = [:]
  private var numbers: [ObjectIdentifier: Int] = [:]

  mutating func count(_ storage: Storage) { uses[ObjectIdentifier(storage), default: 0] += 1 }

  mutating func number(of storage: Storage) -> Int? {
    let key = ObjectIdentifier(storage)
    guard uses[key, default: 0] > 1 else { return nil }
    if let number = numbers[key] { return number }
    numbers[key] = numbers.count
    return numbers[key]
  }
}

extension GraphModule {
  /// Reads the text form of a module, or of a graph alone. The text has no elements: attributes become fake tensors.
  ///
  /// - Throws: `GraphError` as `Graph(parsing:operators:)` does.
  public init(parsing text: some StringProtocol, operators: any OperatorTable) throws(GraphError) {
    var parser = GraphParser(TextScanner(text), operators: operators)
    var described = DescribedModule()
    if parser.scanner.takeWord("module") {
      described = try parser.describedModule()
    } else {
      described.graph = try parser.wholeGraph()
    }
    try parser.end()
    let attributes = described.allAttributes.map { MetaValue.reference($0) }
    self = try described.made(of: FakeTensors(for: attributes))
  }
}

/// A module as its text describes it.
private struct DescribedModule {
  var graph = Graph()
  var attributes: [String: TensorMeta] = [:]
  var modules: [String: DescribedModule] = [:]

  var allAttributes: [TensorMeta] { attributes.values + modules.values.flatMap(\.allAttributes) }

  func made(of fakes: FakeTensors) throws(GraphError) -> GraphModule {
    var module = GraphModule(graph)
    for (path, meta) in attributes { module.attributes[path] = try fakes.tensor(of: meta) }
    for (path, nested) in modules { module.modules[path] = try nested.made(of: fakes) }
    return module
  }
}

extension GraphParser {
  fileprivate mutating func describedModule() throws(GraphError) -> DescribedModule {
    var module = DescribedModule()
    try scanner.expect("{")
    while true {
      if scanner.takeWord("attribute") {
        let path = try newPath(in: module)
        try scanner.expect(":")
        module.attributes[path] = try scanner.tensorMeta()
      } else if scanner.takeWord("module") {
        let path = try newPath(in: module)
        module.modules[path] = try nestedModule()
      } else {
        module.graph = try wholeGraph()
        try scanner.expect("}")
        return module
      }
    }
  }

  private mutating func nestedModule() throws(GraphError) -> DescribedModule {
    var nested = self
    let module = try scanner.nested { scanner throws(GraphError) in
      nested.scanner = scanner
      defer { scanner = nested.scanner }
      return try nested.describedModule()
    }
    return module
  }

  private mutating func newPath(in module: DescribedModule) throws(GraphError) -> String {
    scanner.skipSpace()
    let start = scanner.position
    guard let path = try scanner.takeString() else { throw scanner.failure(expected: "a quoted path") }
    if module.attributes[path] != nil || module.modules[path] != nil {
      throw scanner.failure("'\(path)' is there twice", at: start)
    }
    return path
  }
}
