import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import GraphIR
import ModelFormats
import Operators
import TensorCore

/// One replay of one part of what is recorded of a model, with parameters and buffers as they are in the file.
struct ModelSession {
  enum Part: CustomStringConvertible {
    /// A call and its gradients, on the inputs of the export or on those of a batch size.
    case call(batch: String?)
    /// Steps of gradient descent.
    case training
    /// A model that draws random numbers: repeated calls, and calls compiled, from equal seeds.
    case random

    var description: String {
      switch self {
      case .call(nil): "call"
      case .call(let batch?): "batch \(batch)"
      case .training: "training"
      case .random: "random"
      }
    }
  }

  private let entry: ModelFacts.Entry
  private let model: ImportedModel
  private let call: ([Value]) throws -> [Value]

  init(_ entry: ModelFacts.Entry, _ mode: ReplayMode) throws {
    self.entry = entry
    let model = try ImportedModel(contentsOf: entry.archive)
    self.model = model
    switch mode {
    case .eager: call = model.run
    case .compiled(let configuration): call = model.compiled(configuration).run
    }
  }

  func run(_ part: Part) throws {
    switch part {
    case .call(let batch): try checkCall(batch)
    case .training: try checkTraining()
    case .random: try checkRandom()
    }
  }

  /// The inputs of a call, flat; tensors are new ones each time: the model may write to them.
  private func inputs(_ prefix: String) throws -> [Value] {
    func tensor(_ index: String) throws -> Tensor? { try entry.tensors["\(prefix)in/\(index)"]?.clone() }
    let recorded = entry.facts.inputs
    guard recorded.count == model.inputNames.count else {
      let indices = entry.tensors.names(after: prefix + "in/").sorted { ($0.count, $0) < ($1.count, $1) }
      return try model.inputs(indices.compactMap { try tensor($0) })
    }
    return try recorded.enumerated().map { index, input in
      try tensor("\(index)").map { .reference($0) } ?? input.constant ?? .none
    }
  }

  // MARK: - A call

  private func checkCall(_ batch: String?) throws {
    let prefix = batch.map { "b\($0)/" } ?? ""
    let run = batch.flatMap { entry.facts.batches[$0] } ?? entry.facts.eager
    let values = try inputs(prefix)
    let inputs = values.compactMap(\.reference)
    let inputsBefore = try inputs.map { try $0.clone() }
    let buffersBefore = try model.buffers.map { try $0.tensor.clone() }
    let results = try call(values)

    for index in entry.tensors.names(after: prefix + "out/").compactMap(Int.init).sorted() {
      let deviation = run?.outputs.indices.contains(index) == true ? run?.outputs[index].deviation : nil
      let result = results.indices.contains(index) ? results[index].reference : nil
      try compare(result, with: "\(prefix)out/\(index)", deviation, "result \(index)")
    }
    // What is written is as far from the exact values as what is returned, where nothing else is recorded.
    let resultDeviation = max(run?.outputs.compactMap(\.deviation).max() ?? 0, Self.unknownDeviation)
    let buffers = Set(entry.tensors.names(after: prefix + "buffer/"))
    for (buffer, before) in zip(model.buffers, buffersBefore) {
      if buffers.contains(buffer.name) {
        let deviation = run?.buffers[buffer.name]?.value ?? resultDeviation
        try compare(buffer.tensor, with: "\(prefix)buffer/\(buffer.name)", deviation, "buffer '\(buffer.name)'")
      } else {
        try requireUnchanged(buffer.tensor, before, "buffer '\(buffer.name)'")
      }
    }
    let written = Set(entry.tensors.names(after: prefix + "input_after/"))
    let positions = values.indices.filter { values[$0].reference != nil }
    for (position, (input, before)) in zip(positions, zip(inputs, inputsBefore)) {
      if written.contains("\(position)") {
        try compare(
          input, with: "\(prefix)input_after/\(position)", resultDeviation, "input \(position) after the call")
      } else {
        try requireUnchanged(input, before, "input \(position) after the call")
      }
    }
    try checkGradients(of: results, prefix, run)
  }

  private func checkGradients(of results: [Value], _ prefix: String, _ run: RecordedModel.Run?) throws {
    let recorded = entry.tensors.names(after: prefix + "grad/")
    guard !recorded.isEmpty else { return }
    var gradients: [String: Tensor] = [:]
    if model.outputs.contains(.loss) {
      for (output, result) in zip(model.outputs, results) {
        if case .gradientOfParameter(let name) = output { gradients[name] = result.reference }
      }
    } else {
      guard results.indices.contains(entry.facts.lossIndex), let loss = results[entry.facts.lossIndex].reference else {
        throw Mismatch("loss", expected: "a tensor", got: "none")
      }
      try loss.backward()
      for parameter in model.parameters { gradients[parameter.name] = parameter.tensor.grad }
    }
    for name in recorded {
      let deviation = run?.gradients[name]?.value
      try compare(gradients[name], with: "\(prefix)grad/\(name)", deviation, "gradient of '\(name)'")
    }
    for (name, gradient) in gradients.sorted(by: { $0.key < $1.key }) where !recorded.contains(name) {
      guard try gradient.doubles().allSatisfy({ $0 == 0 }) else {
        throw Mismatch("gradient of '\(name)'", expected: "none", got: "elements other than zero")
      }
    }
  }

  // MARK: - Training

  private func checkTraining() throws {
    guard let training = entry.facts.training else { return }
    let velocities = try model.parameters.map { try Tensor.zeros($0.tensor.shape, dtype: $0.tensor.dtype) }
    for step in 0..<training.steps {
      let loss = try loss()
      try check(loss, step, training)
      try loss.backward()
      try noGrad {
        for (parameter, velocity) in zip(model.parameters.map(\.tensor), velocities) {
          guard let gradient = parameter.grad else { continue }
          try velocity.mul_(training.momentum).add_(gradient)
          try parameter.sub_(velocity, alpha: .double(training.rate))
          parameter.grad = nil
        }
      }
    }
    for parameter in model.parameters where try entry.tensors["sgd5/" + parameter.name] != nil {
      try compare(
        parameter.tensor, with: "sgd5/" + parameter.name, training.deviation, "'\(parameter.name)' at the end")
    }
    for buffer in model.buffers where try entry.tensors["sgd5_buffer/" + buffer.name] != nil {
      let subject = "buffer '\(buffer.name)' at the end"
      try compare(buffer.tensor, with: "sgd5_buffer/" + buffer.name, training.deviation, subject)
    }
    try check(loss(), training.steps, training)
  }

  private func loss() throws -> Tensor {
    let results = try call(inputs(""))
    guard results.indices.contains(entry.facts.lossIndex), let loss = results[entry.facts.lossIndex].reference else {
      throw Mismatch("loss", expected: "a tensor", got: "none")
    }
    return loss
  }

  private func check(_ loss: Tensor, _ step: Int, _ training: RecordedModel.Training) throws {
    guard training.singleLosses.indices.contains(step), training.doubleLosses.indices.contains(step) else { return }
    let (single, double) = (training.singleLosses[step], training.doubleLosses[step])
    let expected = try Tensor([Float(double)], shape: loss.shape)
    try loss.compare(
      with: expected, Self.tolerance(deviation: abs(single - double), largest: abs(double)), "loss before step \(step)")
  }

  // MARK: - Models that draw random numbers

  private func checkRandom() throws {
    func run(_ model: ImportedModel, _ call: ([Value]) throws -> [Value]) throws -> [Tensor] {
      Generator.inUse.seed(17)
      let results = try call(inputs(""))
      guard results.indices.contains(entry.facts.lossIndex), let loss = results[entry.facts.lossIndex].reference else {
        throw Mismatch("loss", expected: "a tensor", got: "none")
      }
      guard try loss.doubles().allSatisfy(\.isFinite) else {
        throw Mismatch("loss", expected: "a finite number", got: "\(loss)")
      }
      try loss.backward()
      return [loss] + model.parameters.compactMap(\.tensor.grad)
    }
    let reference = try ImportedModel(contentsOf: entry.archive)
    let expected = try run(reference, reference.run)
    let found = try run(model, call)
    guard expected.count == model.parameters.count + 1, found.count == expected.count else {
      throw Mismatch("gradients", expected: "\(model.parameters.count)", got: "\(found.count - 1)")
    }
    for (index, (found, expected)) in zip(found, expected).enumerated() {
      let largest = try expected.doubles().map(abs).max() ?? 0
      let subject = index == 0 ? "loss" : "gradient of '\(model.parameters[index - 1].name)'"
      try found.compare(with: expected, Self.tolerance(deviation: 0, largest: largest), subject)
    }
  }

  // MARK: - Comparing

  /// Values were recorded in double precision: PyTorch's own single precision is as far from them as `deviation` says. Ours
  /// may sum in another order, and be several times as far; where theirs happens to be exact, some roundings of the largest
  /// element, or one of a value around 1.
  private static func tolerance(deviation: Double, largest: Double) -> Tolerance {
    Tolerance(relative: 0, absolute: 8 * deviation + Double(Float.ulpOfOne) * (32 * largest + 0.5))
  }

  /// Where PyTorch's deviation is not recorded: about as large as it is for values around 1.
  private static let unknownDeviation = 1e-7

  private func compare(
    _ result: Tensor?, with name: String, _ deviation: Double?, _ subject: String
  ) throws {
    guard let expected = try entry.tensors[name] else { throw FactsError("there is no '\(name)'") }
    guard let result else { throw Mismatch(subject, expected: "a tensor", got: "none") }
    guard result.dtype == expected.dtype, result.shape == expected.shape else {
      throw Mismatch(
        subject, expected: "\(expected.dtype)\(expected.shape)", got: "\(result.dtype)\(result.shape)")
    }
    let largest = try expected.doubles().map(abs).filter(\.isFinite).max() ?? 0
    let tolerance =
      expected.dtype == .bfloat16 || expected.dtype == .float16
      ? Tolerance(relative: 0, absolute: 0.02 * largest)
      : Self.tolerance(deviation: deviation ?? Self.unknownDeviation, largest: largest)
    try result.compare(with: expected, tolerance, subject)
  }

  private func requireUnchanged(_ tensor: Tensor, _ before: Tensor, _ subject: String) throws {
    guard tensor.dtype == before.dtype, tensor.shape == before.shape else {
      throw Mismatch(subject, expected: "\(before.dtype)\(before.shape)", got: "\(tensor.dtype)\(tensor.shape)")
    }
    try tensor.compare(with: before, Tolerance(relative: 0, absolute: 0), subject)
  }
}
