import GraphIR
import Operators
import TensorCore

/// Turns a program's graph into one of this package: operators looked up, values by reference, several results picked apart.
///
/// Parameters, buffers and constants are read by name from the module; the user's inputs are the graph's.
struct GraphConstruction {
  private let program: ExportedProgram
  private let operators: ProgramOperators

  init(_ program: ExportedProgram, _ operators: ProgramOperators) {
    self.program = program
    self.operators = operators
  }

  /// The module, without its tensors.
  ///
  /// - Throws: `ModelFormatError` naming the node and the argument: `unsupported` for operators and arguments that this package
  ///   does not have, `malformed` where values are not defined before they are used, or do not fit the operator.
  func module() throws(ModelFormatError) -> GraphModule {
    let missing = missingTargets(in: program.graph)
    guard missing.isEmpty else {
      throw ModelFormatError(
        .unsupported,
        "the program uses operators that are not in the library: \(missing.sorted().joined(separator: ", "))")
    }
    var scope = Scope(operators)
    try bindInputs(in: &scope)
    for node in program.graph.nodes { try scope.add(node, of: program.graph) }
    var results: [GraphArgument] = []
    for output in program.graph.outputs { results.append(try scope.argument(output)) }
    scope.graph.output(.tuple(results), descriptors: results.indices.map { .output($0) })
    return GraphModule(scope.graph, modules: scope.modules)
  }

  private func missingTargets(in graph: ProgramGraph) -> Set<String> {
    var missing: Set<String> = []
    for node in graph.nodes {
      if operators.lookup(target: node.target) == nil { missing.insert(node.target) }
      for case .graph(_, let nested) in node.inputs.map(\.argument) { missing.formUnion(missingTargets(in: nested)) }
    }
    return missing
  }

  // MARK: - Inputs

  private func bindInputs(in scope: inout Scope) throws(ModelFormatError) {
    var position = 0
    for (argument, spec) in zip(program.graph.inputs, program.inputs) {
      switch spec {
      case .userInput: try scope.placeholder(argument, named: nil, position, program.graph)
      case .constant(let name, _): try scope.placeholder(argument, named: name, position, program.graph)
      case .parameter, .buffer, .tensorConstant: continue
      }
      position += 1
    }
    for (argument, spec) in zip(program.graph.inputs, program.inputs) {
      switch spec {
      case .parameter(let path), .buffer(let path), .tensorConstant(let path):
        try scope.attribute(argument, path, program.graph)
      case .userInput, .constant: continue
      }
    }
  }
}
