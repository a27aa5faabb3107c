import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import Foundation
import GraphIR
import Operators
import TensorCore

/// Compares what came of a scenario with what the format requires.
struct ScenarioComparison {
  private let scenario: Scenario
  /// What is being replayed, for messages.
  var context = ""
  /// Judges single-precision results that are not within tolerance of the recorded ones.
  private let exact: () -> ExactValues?
  /// Gets the results in the place of a comparison.
  private let recording: ExactValues?

  init(_ scenario: Scenario, exact: @escaping () -> ExactValues?) {
    self.scenario = scenario
    self.exact = exact
    recording = nil
  }

  init(_ scenario: Scenario, recording: ExactValues) {
    self.scenario = scenario
    exact = { nil }
    self.recording = recording
  }

  private func mismatch(_ subject: String, expected: String, got: String) -> Mismatch {
    Mismatch(context + subject, expected: expected, got: got)
  }

  // MARK: The call

  func compare(_ outputs: [Value], _ inputs: ScenarioInputs, with expected: Expectation) throws {
    if let wanted = expected.isGradEnabledAfter, isGradEnabled != wanted {
      throw mismatch("grad mode after the call", expected: "\(wanted)", got: "\(isGradEnabled)")
    }
    guard outputs.count == expected.outputs.count else {
      throw mismatch("outputs", expected: "\(expected.outputs.count)", got: "\(outputs.count)")
    }
    for (index, (output, wanted)) in zip(outputs, expected.outputs).enumerated() {
      let subject = "output \(index)"
      switch (output, wanted) {
      case (.none, .none): break
      case (.int(let got), .int(let wanted)) where got.value == wanted: break
      case (.reference(let tensor), .tensor(let wanted)):
        try compare(tensor, with: wanted, subject)
        try compareIdentity(of: index, outputs, inputs, with: wanted, subject)
      default: throw mismatch(subject, expected: "\(wanted)", got: "\(output)")
      }
    }
    for (index, (input, wanted)) in zip(inputs.tensors, expected.inputsAfter).enumerated() {
      guard let input, let wanted else { continue }
      try compare(input, inputs, with: wanted, "input \(index) after the call")
    }
    try compare(inputs.storages, with: expected.storagesAfter)
  }

  /// The lines that effects wrote.
  func compare(_ lines: [String], with expected: [String]) throws {
    guard lines == expected else { throw Mismatch("effect log", expected: "\(expected)", got: "\(lines)") }
  }

  private func compare(_ tensor: Tensor, with expected: ExpectedTensor, _ subject: String) throws {
    try compare(tensor, with: expected.literal, subject)
    guard tensor.requiresGrad == expected.requiresGrad else {
      throw mismatch(
        "\(subject), requiresGrad", expected: "\(expected.requiresGrad)", got: "\(tensor.requiresGrad)")
    }
    // A view of what requires a gradient, made without recording, is both in PyTorch: a quirk.
    let isQuirk = expected.requiresGrad && expected.isLeaf
    guard tensor.isLeaf == expected.isLeaf || isQuirk else {
      throw mismatch("\(subject), isLeaf", expected: "\(expected.isLeaf)", got: "\(tensor.isLeaf)")
    }
  }

  private func compareIdentity(
    of index: Int, _ outputs: [Value], _ inputs: ScenarioInputs, with expected: ExpectedTensor, _ subject: String
  ) throws {
    guard let tensor = outputs[index].reference else { return }
    func check<Fact: Equatable>(_ what: String, _ wanted: Fact, _ got: Fact) throws {
      if wanted != got { throw mismatch("\(subject), \(what)", expected: "\(wanted)", got: "\(got)") }
    }
    try check("input that it is", expected.sameAsInput, inputs.tensors.firstIndex { $0 === tensor })
    try check(
      "earlier output that it is", expected.sameAsOutput, outputs[..<index].firstIndex { $0.reference === tensor })
    let sharing = inputs.tensors.indices.filter { inputs.tensors[$0]?.storage === tensor.storage }
    try check("inputs in whose storage it lies", expected.sharesStorageWithInputs, sharing)
    try check(
      "outputs in whose storage it lies", expected.sharesStorageWithOutputs,
      outputs.indices.filter { $0 != index && outputs[$0].reference?.storage === tensor.storage })
    if !sharing.isEmpty { try compareLayout(tensor, with: expected.literal, subject) }
  }

  private func compare(
    _ input: Tensor, _ inputs: ScenarioInputs, with expected: ExpectedInput, _ subject: String
  ) throws {
    try compareShape(input, with: expected.literal, subject)
    try compareLayout(input, with: expected.literal, subject)
    if expected.hasElements { try compareElements(input, with: expected.literal, subject) }
    if let number = expected.storage, let storage = inputs.storages[number], input.recordedStorage !== storage {
      throw mismatch("\(subject), storage", expected: "number \(number)", got: "another one")
    }
    if expected.storage == nil, inputs.storages.values.contains(where: { $0 === input.recordedStorage }) {
      throw mismatch("\(subject), storage", expected: "a new one", got: "one from before the call")
    }
    guard input.requiresGrad == expected.requiresGrad else {
      throw mismatch("\(subject), requiresGrad", expected: "\(expected.requiresGrad)", got: "\(input.requiresGrad)")
    }
    guard input.isLeaf == expected.isLeaf || (expected.requiresGrad && expected.isLeaf) else {
      throw mismatch("\(subject), isLeaf", expected: "\(expected.isLeaf)", got: "\(input.isLeaf)")
    }
  }

  /// Whole storages: a write must hit the right elements and nothing else.
  func compare(_ storages: [Int: Storage], with expected: [RecordedStorage]) throws {
    for (number, recorded) in expected.enumerated() {
      guard let storage = storages[number] else { continue }
      let subject = "storage \(number) after the call"
      let count = storage.byteCount / recorded.dtype.byteCount
      guard count == recorded.elements.count else {
        throw mismatch(subject, expected: "\(recorded.elements.count) elements", got: "\(count)")
      }
      if !scenario.isDeterministic { continue }
      let layout = Layout(contiguous: [SymInt(count)])
      let whole = try Tensor(storage: storage, layout: layout, dtype: recorded.dtype)
      try compareElements(whole, with: recorded.literal, subject)
    }
  }

  // MARK: What the user does then

  /// Tensors as they are to be by then.
  func compare(_ values: [Value], with expected: [ExpectedElements], _ subject: String) throws {
    for (index, (value, wanted)) in zip(values, expected).enumerated() {
      guard let literal = wanted.literal else { continue }
      let subject = "\(subject) \(index)"
      guard let tensor = value.reference else { throw mismatch(subject, expected: "a tensor", got: "none") }
      try compare(tensor, with: literal, subject)
      if let requiresGrad = wanted.requiresGrad, tensor.requiresGrad != requiresGrad {
        throw mismatch("\(subject), requiresGrad", expected: "\(requiresGrad)", got: "\(tensor.requiresGrad)")
      }
    }
  }

  /// Gradients of leaves: none stands for zero.
  func compare(
    _ gradients: [Tensor?], with expected: [TensorLiteral?], _ leaves: [Tensor], _ subject: String
  ) throws {
    for (index, (gradient, wanted)) in zip(gradients, expected).enumerated() {
      let subject = "\(subject) of leaf \(index)"
      switch (gradient, wanted) {
      case (nil, nil): break
      case (let gradient?, nil):
        let elements = try gradient.leaves.flatMap { try $0.doubles() }
        if !leaves[index].requiresGrad || elements.contains(where: { $0 != 0 }) {
          throw mismatch(subject, expected: "none", got: "\(elements)")
        }
      case (nil, let wanted?): throw mismatch(subject, expected: "\(wanted.elements)", got: "none")
      case (let gradient?, let wanted?): try compare(gradient, with: wanted, subject)
      }
    }
  }

  // MARK: Tensors

  private func compare(_ tensor: Tensor, with expected: TensorLiteral, _ subject: String) throws {
    try compareShape(tensor, with: expected, subject)
    try compareElements(tensor, with: expected, subject)
  }

  private func compareShape(_ tensor: Tensor, with expected: TensorLiteral, _ subject: String) throws {
    guard tensor.dtype == expected.dtype, tensor.shape == expected.sizes else {
      throw mismatch(subject, expected: "\(expected.dtype) \(expected.sizes)", got: "\(tensor.dtype) \(tensor.shape)")
    }
  }

  private func compareElements(_ tensor: Tensor, with expected: TensorLiteral, _ subject: String) throws {
    if !scenario.isDeterministic { return }
    let pair = tensor.unwrapped(as: TwoTensor.self)
    guard (pair != nil) == (expected.inner.count == 2) else {
      throw mismatch(subject, expected: expected.inner.isEmpty ? "an ordinary tensor" : "a pair", got: "\(tensor)")
    }
    if let pair {
      try compareElements(pair.a, with: expected.inner[0], "\(subject), first of the pair")
      return try compareElements(pair.b, with: expected.inner[1], "\(subject), second of the pair")
    }
    if let recording { return try recording.record(tensor, as: context + subject) }
    let tolerance = tolerance(expected.dtype)
    do {
      try tensor.compare(with: expected.tensor(), tolerance, context + subject)
    } catch let mismatch as Mismatch {
      guard expected.dtype == .float32, let exact = exact(),
        try exact.accepts(tensor, recorded: expected, tolerance, as: context + subject)
      else { throw mismatch }
    }
  }

  private func compareLayout(_ tensor: Tensor, with expected: TensorLiteral, _ subject: String) throws {
    guard let strides = expected.strides else { return }
    guard tensor.strides.values == strides else {
      throw mismatch("\(subject), strides", expected: "\(strides)", got: "\(tensor.strides)")
    }
    guard tensor.layout.offset.value == expected.offset ?? 0 else {
      throw mismatch("\(subject), offset", expected: "\(expected.offset ?? 0)", got: "\(tensor.layout.offset)")
    }
  }

  private func tolerance(_ dtype: DType) -> Tolerance {
    if let recorded = scenario.tolerance { return Tolerance(relative: recorded.rtol, absolute: recorded.atol) }
    switch dtype {
    case .float32: return Tolerance(relative: 2e-5, absolute: 1e-5)
    case .float64: return Tolerance(relative: 1e-9, absolute: 1e-9)
    case .float16: return Tolerance(relative: 5e-3, absolute: 5e-3)
    case .bfloat16: return Tolerance(relative: 2e-2, absolute: 2e-2)
    default: return Tolerance(relative: 0, absolute: 0)
    }
  }

  // MARK: Errors

  /// The families in which the kind of an error counts, not only that there is one.
  private static let strictFamilies: Set<String> = ["errors", "output_alias_input", "backward_runs"]

  func compare(_ error: any Error, with expected: ExpectedError, _ subject: String) throws {
    if let error = error as? FactsError { throw error }
    guard Self.strictFamilies.contains(scenario.family), let kind = ErrorKind(rawValue: expected.category),
      !ErrorKind.kinds(of: error).contains(kind)
    else { return }
    throw mismatch(subject, expected: "an error such as \"\(expected.message)\"", got: "the error \"\(error)\"")
  }
}
