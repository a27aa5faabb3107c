import GraphIR

/// Which operators are replaced by others, and by which.
///
/// A compiler that knows only some operators is given graphs without the rest:
///
///     let table = DecompositionTable.coreATen
///       .removing(OperatorLibrary.gelu)
///       .adding(myOperator) { call in .reference(try call.tensor(0).exp() + 1) }
///     let graph = try graph.decomposed(by: table)
public struct DecompositionTable: Sendable {
  /// A call in terms of others, in the tensor API. It sees the call's tensors as fake ones: it may read their metadata only.
  public typealias Body = @Sendable (OperatorCall) throws -> Value

  private struct Entry: Sendable {
    let name: OperatorName
    let body: Body
  }

  private var entries: [ObjectIdentifier: Entry] = [:]

  /// Nothing is replaced.
  public static let none = DecompositionTable()

  /// Every operator that is not of PyTorch's core ATen set and has a decomposition: what is left is core.
  public static let coreATen = DecompositionTable(OperatorLibrary.all.filter { !$0.traits.contains(.core) })

  /// Every operator that has a decomposition: what is left is pointwise operators, reductions, views, products, ….
  public static let primitives = DecompositionTable(OperatorLibrary.all)

  /// The operators' own decompositions; those that have none stay.
  public init(_ operators: some Sequence<OperatorDefinition> = []) {
    for definition in operators { self[definition] = definition.decomposition }
  }

  /// What an operator is replaced by; nil where it stays.
  public subscript(_ definition: OperatorDefinition) -> Body? {
    get { entries[ObjectIdentifier(definition)]?.body }
    set { entries[ObjectIdentifier(definition)] = newValue.map { Entry(name: definition.name, body: $0) } }
  }

  public var isEmpty: Bool { entries.isEmpty }

  /// The operators that are replaced, in alphabetical order.
  public var names: [OperatorName] { entries.values.map(\.name).sorted { $0.description < $1.description } }

  /// The table with these operators' own decompositions, too.
  public func adding(_ definitions: OperatorDefinition...) -> DecompositionTable {
    definitions.reduce(into: self) { $0[$1] = $1.decomposition }
  }

  /// The table with an operator replaced by what `body` calls.
  public func adding(_ definition: OperatorDefinition, _ body: @escaping Body) -> DecompositionTable {
    var result = self
    result[definition] = body
    return result
  }

  /// The table with these operators left as they are.
  public func removing(_ definitions: OperatorDefinition...) -> DecompositionTable {
    definitions.reduce(into: self) { $0[$1] = nil }
  }
}

extension DecompositionTable: CustomStringConvertible {
  /// The names of the operators, one a line.
  public var description: String { names.map(\.description).joined(separator: "\n") }
}
