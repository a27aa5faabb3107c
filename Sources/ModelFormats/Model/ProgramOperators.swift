import GraphIR
import Operators

/// The operators that imported programs are made of: the library's, those on numbers, and those that call graphs.
struct ProgramOperators: OperatorTable {
  /// Where ATen's operators come from, and those of other namespaces.
  let tensors: any OperatorTable

  func lookup(_ name: OperatorName) -> (any Operator)? {
    if let found = tensors.lookup(name) { return found }
    return HigherOrderOperator.all[name] ?? SymbolicOperator.all[name]
  }

  /// The operator that a file names, such as `torch.ops.aten.add.Tensor`, `_operator.mul` or `torch.sym_max`.
  func lookup(target: String) -> (any Operator)? {
    Self.name(target: target).flatMap(lookup)
  }

  private static func name(target: String) -> OperatorName? {
    var parts = target.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if parts.starts(with: ["torch", "ops"]) { parts.removeFirst(2) }
    if parts.first == "_operator" { parts[0] = "operator" }
    switch parts.count {
    case 2: return OperatorName(parts[0], parts[1])
    case 3: return OperatorName(parts[0], parts[1], parts[2])
    default: return nil
    }
  }
}
