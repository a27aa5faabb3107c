import Foundation
import GraphIR
import TensorCore

@testable import Operators

/// Replays recorded operator calls and compares outputs, mutated inputs, gradients and errors.
struct ConformanceReplay {
  let data: ConformanceData
  let table: any OperatorTable

  enum Outcome {
    case passed
    /// The operator does not exist here, or the case is about autograd's own errors.
    case skipped
    /// The operator says that it does not do this.
    case refused(String)
    case failed(String)
  }

  func replay(_ item: JSON) -> Outcome {
    guard let name = item["op"]?.string, let target = definition(name) else { return .skipped }
    if let error = item["error"], error["stage"]?.string != "forward" || item["requires_grad"] != nil {
      return .skipped
    }
    do {
      let inputs = try (item["in"]?.array ?? []).map { try data.input($0) }
      if item["error"] != nil { return try replayError(item, target, inputs) }
      try replayCall(item, target, inputs)
      return .passed
    } catch let error as OperatorError where error.code == .notImplemented {
      return .refused("\(error)")
    } catch {
      return .failed("\(error)")
    }
  }

  func definition(_ name: String) -> OperatorDefinition? {
    OperatorName("aten.\(name)").flatMap { table.lookup($0) as? OperatorDefinition }
  }

  private func arguments(_ item: JSON, _ target: OperatorDefinition, _ inputs: [Tensor]) throws -> [Value] {
    let given = item["args"]
    return try target.schema.bind(
      [],
      keywords: target.schema.parameters.compactMap { parameter in
        try given?[parameter.name].map { (parameter.name, try ConformanceData.argument($0, inputs)) }
      })
  }

  private func replayError(_ item: JSON, _ target: OperatorDefinition, _ inputs: [Tensor]) throws -> Outcome {
    let before = inputs.map(\.storage.contents)
    do {
      _ = try target.evaluate(arguments(item, target, inputs))
    } catch {
      return inputs.map(\.storage.contents) == before ? .passed : .failed("an input changed before the error")
    }
    return .failed("succeeded; needed: \(item["error"]?["msg"]?.string ?? "an error")")
  }

  private func replayCall(_ item: JSON, _ target: OperatorDefinition, _ inputs: [Tensor]) throws {
    let differentiated = item["grad"]?["in"]?.array ?? []
    let leaves = differentiated.compactMap { $0["t"]?.int }.map { inputs[$0] }
    let tape = RecordingMode(differentiating: leaves)
    let before = inputs.map(\.storage.contents)
    let value = try DispatchContext.current.withMode(tape) {
      try target.evaluate(arguments(item, target, inputs))
    }
    let isExact = item["exact"]?.bool == true
    let entries = item["out"]?.array ?? []
    let results = entries.count == 1 && target.schema.returns.count == 1 ? [value] : value.elements ?? [value]
    guard results.count == entries.count else { throw Mismatch("\(results.count) results, needed \(entries.count)") }
    var flat: [Tensor?] = []
    for (index, (result, entry)) in zip(results, entries).enumerated() {
      let parts = entry.array.map { Array(zip(result.elements ?? [], $0)) } ?? [(result, entry)]
      if let count = entry.array?.count, count != parts.count {
        throw Mismatch("result \(index) has \(parts.count) parts")
      }
      for (part, entry) in parts {
        try compareOutput(part, entry, inputs, target, isExact).explained("result \(index)")
        flat.append(part.reference)
      }
    }
    try compareMutations(item, inputs, before, isExact)
    try compareGradients(item, tape, flat, leaves, isExact)
  }

  private func compareOutput(
    _ value: Value, _ entry: JSON, _ inputs: [Tensor], _ target: OperatorDefinition, _ isExact: Bool
  ) throws -> Difference {
    if let expected = entry["value"] {
      return value.matches(try ConformanceData.argument(expected, inputs))
        ? .none : .some("\(value) is not \(expected)")
    }
    guard let tensor = value.reference else { return .some("no tensor") }
    let sizes = entry["shape"]?.ints ?? []
    guard tensor.dtype.abbreviation == entry["dtype"]?.string, tensor.shape == sizes else {
      return .some(
        "\(tensor.dtype.abbreviation)\(tensor.shape), needed \(entry["dtype"]?.string ?? "?")\(sizes)")
    }
    if let index = entry["input"]?.int, inputs[index] !== tensor { return .some("is not input \(index)") }
    if let index = entry["alias"]?.int, inputs[index].storage !== tensor.storage {
      return .some("is no view of \(index)")
    }
    if let offset = entry["offset"]?.int, !tensor.layout.isEmpty, tensor.layout.offset.value != offset {
      return .some("offset \(tensor.layout.offset), needed \(offset)")
    }
    let ownsLayout = entry["alias"] != nil || entry["input"] != nil || target.traits.contains(.pointwise)
    if ownsLayout, !tensor.layout.isEmpty, let strides = entry["stride"]?.ints {
      let differs = tensor.shape.indices.contains { sizes[$0] > 1 && tensor.strides[$0].value != strides[$0] }
      if differs { return .some("strides \(tensor.strides), needed \(strides)") }
    }
    guard let expected = try data.dense(entry) else { return .none }
    return try tensor.difference(from: expected, Tolerance(entry, tensor.dtype, isExact: isExact))
  }

  private func compareMutations(_ item: JSON, _ inputs: [Tensor], _ before: [Data], _ isExact: Bool) throws {
    var mutated: Set<Int> = []
    for entry in item["mut"]?.array ?? [] {
      guard let index = entry["t"]?.int, let sizes = entry["shape"]?.ints else { continue }
      mutated.insert(index)
      let tensor = inputs[index]
      guard tensor.shape == sizes else { throw Mismatch("input \(index) has shape \(tensor.shape), needed \(sizes)") }
      let whole = try Tensor(
        storage: tensor.storage,
        layout: Layout(contiguous: [SymInt(tensor.storage.byteCount / tensor.dtype.byteCount)]),
        dtype: tensor.dtype)
      var dense = entry
      if case .object(var fields) = entry {
        fields["shape"] = .array([.int(whole.elementCount)])
        dense = .object(fields)
      }
      guard let expected = try data.dense(dense) else { continue }
      try whole.difference(from: expected, Tolerance(entry, tensor.dtype, isExact: isExact)).explained("input \(index)")
    }
    for index in inputs.indices where !mutated.contains(index) && inputs[index].storage.contents != before[index] {
      throw Mismatch("input \(index) was changed")
    }
  }

  private func compareGradients(
    _ item: JSON, _ tape: RecordingMode, _ outputs: [Tensor?], _ leaves: [Tensor], _ isExact: Bool
  ) throws {
    guard let grad = item["grad"], let tangents = grad["tangents"]?.array else { return }
    var pairs: [(Tensor, tangent: Tensor)] = []
    for (output, entry) in zip(outputs, tangents) {
      if case .null = entry { continue }
      if let output, let tangent = try data.dense(entry) { pairs.append((output, tangent)) }
    }
    let gradients = try tape.gradients(of: pairs, for: leaves)
    for (gradient, entry) in zip(gradients, grad["in"]?.array ?? []) {
      let index = entry["t"]?.int ?? -1
      if entry["zero"]?.bool == true {
        if let gradient, try !gradient.isZero() { throw Mismatch("gradient of input \(index) is not zero") }
        continue
      }
      guard let expected = try data.dense(entry) else { continue }
      guard let gradient else {
        if try expected.isZero() { continue }
        throw Mismatch("no gradient of input \(index)")
      }
      guard gradient.dtype == expected.dtype, gradient.shape == expected.shape else {
        throw Mismatch("gradient of input \(index) is \(gradient.dtype)\(gradient.shape)")
      }
      // Gradients of exact operators are sums all the same.
      try gradient.difference(from: expected, Tolerance(entry, gradient.dtype, isExact: false))
        .explained("gradient of input \(index)")
    }
  }
}
