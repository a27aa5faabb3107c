import AOTArtifacts
import EagerAutograd
import GraphIR
import TensorCore

/// Checks at each call that what compilation relied on, and what it promised, holds: for those who work on the compiler.
///
/// Inputs have the captured geometry and aliasing and ask for gradients as they did; afterwards, inputs were written to where
/// the metadata says so and nowhere else, and outputs are what the metadata says.
public struct DebugAssert: RuntimeWrapper {
  public static let name = "debug assert"

  private let meta: ViewAndMutationMeta
  private let inputs: [TensorMeta]

  public init(_ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta) {
    let graph = capture.module.graph
    self.meta = meta
    inputs = graph.placeholders.compactMap { graph[metadata: $0].tensor }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { tensors in
      try expect(tensors.count == inputs.count, "\(inputs.count) tensors come in")
      try checkInputs(tensors)
      let versions = tensors.map(\.storage.version)
      let storages = tensors.map(\.storage)
      let results = try inner(tensors)
      try checkWrites(storages, versions)
      try checkOutputs(results, tensors)
      return results
    }
  }

  private func checkInputs(_ tensors: [Tensor]) throws {
    for (index, (tensor, input)) in zip(tensors, inputs).enumerated() {
      try expect(tensor.dtype == input.dtype, "input \(index) is \(input.dtype)")
      try expect(tensor.sizes == input.sizes, "input \(index) has sizes \(input.sizes)")
      try expect(tensor.strides == input.layout.strides, "input \(index) has strides \(input.layout.strides)")
      let info = meta.inputs[index]
      try expect(tensor.requiresGrad == info.requiresGrad, "input \(index) requires grad: \(info.requiresGrad)")
      try expect(tensor.isLeaf == info.isLeaf, "input \(index) is a leaf: \(info.isLeaf)")
      for other in 0..<index {
        // Of bases in one storage, the graph knows the histories alone.
        guard let storage = input.storageID, let otherStorage = inputs[other].storageID else { continue }
        let isShared = storage == otherStorage
        try expect(
          (tensors[other].storage === tensor.storage) == isShared,
          "inputs \(other) and \(index) \(isShared ? "share" : "do not share") memory")
      }
    }
  }

  private func checkWrites(_ storages: [Storage], _ versions: [Int]) throws {
    for (index, storage) in storages.enumerated() {
      let isWritten = meta.inputs.indices.contains { other in
        storages[other] === storage && meta.inputs[other].countsAsWritten
      }
      try expect(
        (storage.version != versions[index]) == isWritten, "input \(index) \(isWritten ? "is" : "is not") written to")
    }
  }

  private func checkOutputs(_ results: [Value], _ tensors: [Tensor]) throws {
    let count = meta.outputs.count - meta.hiddenOutputCount
    try expect(results.count == count, "\(count) outputs come out")
    for (index, (result, info)) in zip(results, meta.outputs).enumerated() {
      guard let tensor = result.reference, let expected = info.meta else {
        try expect(result.reference == nil && info.meta == nil, "output \(index) is \(info.kind)")
        continue
      }
      let base: Tensor? =
        switch info.kind {
        case .isInput(let input), .aliasOfInput(let input): tensors[input]
        case .aliasOfOutput(let output): results[output].reference
        case .nonAlias, .constant, .aliasOfIntermediate: nil
        }
      if case .isInput = info.kind { try expect(tensor === base, "output \(index) is \(info.kind)") }
      if let base {
        try expect(tensor.storage === base.storage, "output \(index) is a \(info.kind)")
      } else {
        let isOwn = !tensors.contains { $0.storage === tensor.storage }
        try expect(isOwn, "output \(index) shares no memory with an input")
      }
      try expect(tensor.dtype == expected.dtype, "output \(index) is \(expected.dtype)")
      try expect(tensor.sizes == expected.sizes, "output \(index) has sizes \(expected.sizes)")
      let strides = expected.layout.strides
      try expect(tensor.layout.isEmpty || tensor.strides == strides, "output \(index) has strides \(strides)")
      try expect(tensor.requiresGrad == info.requiresGrad, "output \(index) requires grad: \(info.requiresGrad)")
    }
  }

  /// - Throws: `GraphError` that names what does not hold.
  private func expect(_ holds: Bool, _ invariant: @autoclosure () -> String) throws {
    if !holds { throw GraphError(.execution, "a debug assertion of a compiled function failed: \(invariant())") }
  }
}
