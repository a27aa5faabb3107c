import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

extension OperatorSample {
  private var requiresGrad: Bool { tensors.contains { $0.requiresGrad && $0.dtype.isFloatingPoint } }

  func checkGradients() throws {
    let checked = tensors.filter(\.requiresGrad)
    guard !checked.isEmpty, checked.allSatisfy({ $0.dtype == .float64 }) else { return }
    guard target.derivative?.isEmpty != true else { return }
    guard target.derivative != nil || target.isComposite else {
      throw failure(.gradients, "a tensor requires a gradient, and the operator has no derivative")
    }
    do {
      try gradcheck(tensors) { inputs in try call(inputs.map { try $0.copiedWithMemory() }).references }
    } catch let error as GradientCheckError {
      throw failure(.gradients, error.description)
    }
  }

  func checkCompiled() throws {
    if target.traits.contains(.random) || target.traits.contains(.dataDependent) { return }
    let eager = try outcome { try call($0) }
    let compiled = try outcome { try compiledCall($0) { try call($0) } }
    for (name, a, b) in [
      ("results", eager.results, compiled.results), ("arguments", eager.inputs, compiled.inputs),
      ("gradients", eager.gradients, compiled.gradients),
    ] {
      if let difference = try a.difference(from: b, isExact: false) {
        throw failure(.compiled, "\(name) differ between eager and compiled: \(difference)")
      }
    }
    guard eager.identities == compiled.identities else {
      throw failure(.compiled, "eager and compiled results share memory with other arguments")
    }
  }

  private struct CallOutcome {
    var results: [Tensor]
    var inputs: [Tensor]
    var gradients: [Tensor]
    /// Which input each result lies in the memory of.
    var identities: [Int?]
  }

  private func outcome(_ call: ([Tensor]) throws -> Value) throws -> CallOutcome {
    let leaves = try zip(tensors, copies()).map { try $0.requiresGrad ? $1.requiringGrad() : $1 }
    let inputs = try leaves.map { try $0.copiedWithMemory() }
    let results = try call(inputs).references
    let identities = results.map { result in inputs.firstIndex { $0.storage === result.storage } }
    let roots = results.filter { $0.requiresGrad && $0.dtype.isFloatingPoint }
    let wanted = leaves.filter(\.requiresGrad)
    var gradients: [Tensor] = []
    if !roots.isEmpty, !wanted.isEmpty, target.derivative != nil || requiresGrad {
      let ones = try noGrad { try roots.map { try $0.onesLike() } }
      gradients = try zip(wanted, grad(of: roots, with: wanted, gradients: ones, allowUnused: true)).map {
        leaf, gradient in
        try gradient ?? noGrad { try leaf.zerosLike() }
      }
    }
    return CallOutcome(results: results, inputs: inputs, gradients: gradients, identities: identities)
  }

  func checkText() throws {
    if target.traits.contains(.dataDependent) { return }
    // A composite leaves no call of itself behind.
    if target.isComposite { return }
    let tracer = GraphTracer()
    let inputs = try tensors.enumerated().map { index, tensor in
      try tracer.placeholder("input_\(index)", TensorMeta(tensor), descriptor: .input(index))
    }
    let value = try tracer.recording { try noGrad { try call(inputs) } }
    try tracer.output(.tuple(value.results))
    let text = tracer.graph.description
    // An operator of the library is in the table as it is.
    let table =
      OperatorLibrary.table.lookup(target.name) === target
      ? OperatorLibrary.table : try OperatorLibrary.table(including: [target])
    let again = try Graph(parsing: text, operators: table).description
    guard again == text else { throw failure(.text, "a graph with the call is read back as another:\n\(again)") }
  }
}
