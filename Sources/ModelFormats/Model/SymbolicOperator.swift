import GraphIR
import TensorCore

/// An operator on sizes and other numbers, such as `operator.floordiv` or `torch.sym_max`.
///
/// It runs on the numbers themselves: a program that is captured is specialized to them.
final class SymbolicOperator: Operator {
  let schema: OperatorSchema
  let traits: OperatorTraits = []

  private init(_ namespace: String, _ name: String, _ parameters: [String]) {
    schema = OperatorSchema(
      name: OperatorName(namespace, name), parameters: parameters.map { .init($0, .anything) },
      returns: [.init(.anything)])
  }

  func evaluate(_ arguments: [Value]) throws -> Value {
    let numbers = try arguments.flatMap { $0.elements ?? [$0] }.map { argument in
      switch argument {
      case .bool(let value): PythonNumber.bool(value)
      case .int(let value): PythonNumber.int(value.value)
      case .double(let value): PythonNumber.double(value)
      default: throw GraphError(.invalidArgument, "\(name) takes numbers")
      }
    }
    do {
      switch try PythonFunctions.call(name.base, numbers) {
      case .bool(let value): return .bool(value)
      case .int(let value) where SymInt.concreteRange.contains(value): return .int(SymInt(value))
      case .int(let value): throw PythonError("\(value) is out of range")
      case .double(let value): return .double(value)
      }
    } catch let error as PythonError {
      throw GraphError(.execution, "\(name): \(error)")
    }
  }

  /// All of them, by name.
  static let all: [OperatorName: SymbolicOperator] = {
    let unary = "neg pos not_ abs"
    let binary = "add sub mul floordiv mod truediv pow eq ne lt le gt ge and_ or_ lshift rshift"
    let functions = [
      ("operator", unary, ["a"]), ("operator", binary, ["a", "b"]), ("math", "trunc floor ceil sqrt", ["a"]),
      ("torch", "sym_not sym_float sym_int sym_sqrt _sym_sqrt", ["a"]), ("torch", "sym_max sym_min", ["a", "b"]),
      ("torch", "sym_ite", ["b", "t", "f"]), ("builtins", "round abs", ["a"]), ("builtins", "max min pow", ["a", "b"]),
    ]
    var operators: [OperatorName: SymbolicOperator] = [:]
    for (namespace, names, parameters) in functions {
      for name in names.split(separator: " ") {
        let symbolic = SymbolicOperator(namespace, String(name), parameters)
        operators[symbolic.name] = symbolic
      }
    }
    return operators
  }()
}
