import AOTAutogradTesting
import EagerAutograd
import Foundation
import GraphIR
import Operators
import TensorCore

/// One recorded call, to be made again.
struct RecordedCall {
  private let item: OperatorCase
  private let target: OperatorDefinition
  private let facts: OperatorFacts
  private let mode: ReplayMode

  init(_ item: OperatorCase, _ target: OperatorDefinition, _ facts: OperatorFacts, _ mode: ReplayMode) {
    self.item = item
    self.target = target
    self.facts = facts
    self.mode = mode
  }

  private func call(_ inputs: [Tensor]) throws -> Value {
    let keywords = item.arguments.sorted { $0.key < $1.key }
    return try mode.run(inputs) { [target] inputs in
      try target.evaluate(
        target.schema.bind([], keywords: keywords.map { (name: $0.key, value: try $0.value.value(inputs)) }))
    }
  }

  // MARK: - Calls that give a result

  /// Makes the call and compares all that came of it with what is recorded.
  func check() throws {
    let leaves = try item.inputs.map { try facts.tensor($0) }
    let differentiated = item.gradient?.inputs ?? []
    for entry in differentiated { _ = try leaves[entry.input].requiringGrad() }
    let inputs = try leaves.map { try $0.copiedWithMemory() }
    let before = inputs.map(\.storage.contents)
    let value = try call(inputs)
    let results = target.schema.returns.count == 1 ? [value] : value.results
    guard results.count == item.outputs.count else {
      throw Mismatch("results", expected: "\(item.outputs.count)", got: "\(results.count)")
    }
    var tensors: [Tensor?] = []
    for (index, (result, output)) in zip(results, item.outputs).enumerated() {
      tensors += try compare(result, with: output, inputs, "result \(index)")
    }
    try compareMutations(of: inputs, before: before)
    try compareGradients(of: tensors, leaves)
  }

  /// The tensors that the result is made of.
  private func compare(
    _ result: Value, with output: RecordedOutput, _ inputs: [Tensor], _ subject: String
  ) throws -> [Tensor?] {
    switch output {
    case .other(let expected):
      guard expected.matches(result) else { throw Mismatch(subject, expected: "\(expected)", got: "\(result)") }
      return [nil]
    case .tensor(let expected):
      try compare(result.reference, with: expected, inputs, subject)
      return [result.reference]
    case .list(let expected):
      let parts = result.elements ?? []
      guard parts.count == expected.count else {
        throw Mismatch(subject, expected: "\(expected.count) tensors", got: "\(parts.count)")
      }
      for (index, (part, expected)) in zip(parts, expected).enumerated() {
        try compare(part.reference, with: expected, inputs, "\(subject)[\(index)]")
      }
      return parts.map(\.reference)
    }
  }

  private func compare(
    _ result: Tensor?, with expected: RecordedResult, _ inputs: [Tensor], _ subject: String
  ) throws {
    let elements = expected.elements
    guard let result else { throw Mismatch(subject, expected: "a tensor", got: "none") }
    guard result.dtype == elements.dtype, result.shape == elements.sizes else {
      throw Mismatch(
        subject, expected: "\(elements.dtype)\(elements.sizes)", got: "\(result.dtype)\(result.shape)")
    }
    if let input = expected.input, inputs[input] !== result {
      throw Mismatch(subject, expected: "input \(input) itself", got: "another tensor")
    }
    if let input = expected.alias, inputs[input].storage !== result.storage {
      throw Mismatch(subject, expected: "a view of input \(input)", got: "other memory")
    }
    if expected.alias == nil, expected.input == nil, inputs.contains(where: { $0.storage === result.storage }) {
      throw Mismatch(subject, expected: "memory of its own", got: "a view of an input")
    }
    if !result.layout.isEmpty { try compareLayout(result, expected, subject) }
    if let wanted = try facts.tensor(elements) {
      try result.compare(with: wanted, Tolerance(elements, isExact: item.isExact), subject)
    }
  }

  /// Strides of dimensions of one element mean nothing.
  private func compareLayout(_ result: Tensor, _ expected: RecordedResult, _ subject: String) throws {
    if let offset = expected.offset, result.layout.offset.value != offset {
      throw Mismatch(subject, expected: "offset \(offset)", got: "\(result.layout.offset)")
    }
    guard let strides = expected.strides else { return }
    let sizes = expected.elements.sizes
    if sizes.indices.contains(where: { sizes[$0] > 1 && result.strides[$0].value != strides[$0] }) {
      throw Mismatch(subject, expected: "strides \(strides)", got: "\(result.strides)")
    }
  }

  /// Elements outside of the tensors count too: whole storages are compared.
  private func compareMutations(of inputs: [Tensor], before: [Data]) throws {
    for mutation in item.mutations {
      let (input, elements) = (inputs[mutation.input], mutation.elements)
      let subject = "input \(mutation.input) after the call"
      guard input.shape == elements.sizes else {
        throw Mismatch(subject, expected: "shape \(elements.sizes)", got: "\(input.shape)")
      }
      guard let expected = try facts.storage(elements) else { continue }
      let count = input.storage.byteCount / input.dtype.byteCount
      guard count == expected.elementCount else {
        throw Mismatch(subject, expected: "memory of \(expected.elementCount) elements", got: "\(count)")
      }
      let whole = try Tensor(
        storage: input.storage, layout: Layout(contiguous: [SymInt(count)]), dtype: input.dtype)
      try whole.compare(with: expected, Tolerance(elements, isExact: item.isExact), subject)
    }
    let mutated = Set(item.mutations.map(\.input))
    for index in inputs.indices where !mutated.contains(index) && inputs[index].storage.contents != before[index] {
      throw Mismatch("input \(index) after the call", expected: "what it was", got: "other elements")
    }
  }

  private func compareGradients(of results: [Tensor?], _ leaves: [Tensor]) throws {
    guard let recorded = item.gradient, !recorded.inputs.isEmpty else { return }
    var roots: [(output: Tensor, tangent: Tensor)] = []
    for (result, tangent) in zip(results, recorded.tangents) {
      guard let result, let tangent, result.requiresGrad, let elements = try facts.tensor(tangent) else { continue }
      roots.append((result, elements))
    }
    let inputs = recorded.inputs.map { leaves[$0.input] }
    let gradients =
      roots.isEmpty
      ? inputs.map { _ in nil }
      : try grad(of: roots.map(\.output), with: inputs, gradients: roots.map(\.tangent), allowUnused: true)
    for (entry, gradient) in zip(recorded.inputs, gradients) {
      try compare(gradient, with: entry.elements, "gradient of input \(entry.input)")
    }
  }

  /// No gradient is zero.
  private func compare(_ gradient: Tensor?, with elements: RecordedElements?, _ subject: String) throws {
    guard let elements else {
      if let gradient, try gradient.doubles().contains(where: { $0 != 0 }) {
        throw Mismatch(subject, expected: "zero", got: "other elements")
      }
      return
    }
    guard let expected = try facts.tensor(elements) else { return }
    guard let gradient else {
      guard try expected.doubles().allSatisfy({ $0 == 0 }) else {
        throw Mismatch(subject, expected: "a gradient", got: "none")
      }
      return
    }
    guard gradient.dtype == elements.dtype, gradient.shape == elements.sizes else {
      throw Mismatch(
        subject, expected: "\(elements.dtype)\(elements.sizes)", got: "\(gradient.dtype)\(gradient.shape)")
    }
    // Gradients of exact operators are sums all the same.
    try gradient.compare(with: expected, Tolerance(elements, isExact: false), subject)
  }

  // MARK: - Calls that fail

  /// Makes the call, which has to fail at that stage, without a trace.
  func checkFails(_ error: RecordedError) throws {
    let inputs = try item.inputs.map { try facts.tensor($0) }
    let before = inputs.map(\.storage.contents)
    do {
      let leaves = try item.requiresGrad.map { try inputs[$0].requiringGrad() }
      if error.stage != .requiresGrad {
        let results = try call(inputs).references
        switch error.stage {
        case .forward, .requiresGrad: break
        case .backward: _ = try grad(of: results, with: leaves, gradients: results.map { try $0.onesLike() })
        case .backwardImplicit: _ = try grad(of: results, with: leaves)
        case .backwardBadTangent:
          let tangents = try results.map { try Tensor.ones($0.shape + [2], dtype: $0.dtype) }
          _ = try grad(of: results, with: leaves, gradients: tangents)
        }
      }
    } catch {
      guard inputs.map(\.storage.contents) == before else {
        throw Mismatch("inputs", expected: "what they were before the error", got: "other elements")
      }
      return
    }
    throw Mismatch("call", expected: "an error such as \"\(error.message)\"", got: "none")
  }
}
