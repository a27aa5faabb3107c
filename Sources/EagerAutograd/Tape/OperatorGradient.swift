import GraphIR
import Operators
import TensorCore

/// The gradient of one operator call, by the formulas in the operator's definition.
final class OperatorGradient: GradientFunction {
  /// A tensor argument as the formulas need it.
  enum KeptReference {
    case saved(SavedTensor)
    /// Only metadata is read.
    case metadata(TensorMeta)
  }

  private let target: OperatorDefinition
  /// The parameters that gradients are wanted for.
  private let needed: PositionSet
  private var arguments: [Argument<KeptReference>]
  private var results: [SavedTensor?] = []
  private var isReleased = false

  /// - Parameter nextEdges: One per tensor among the arguments, in order, those in lists included.
  init(
    _ target: OperatorDefinition, needed: PositionSet, arguments: [Argument<KeptReference>], nextEdges: [GradientEdge?]
  ) {
    self.target = target
    self.needed = needed
    self.arguments = arguments
    super.init(nextEdges: nextEdges)
  }

  deinit {
    DeferredRelease.release { pending in
      forEachSaved { pending.append($0) }
      handOverEdges(&pending)
      arguments = []
      results = []
    }
  }

  override var name: String { target.name.description }
  override var operatorName: OperatorName? { target.name }

  override var leadsOn: Bool { target.derivative?.isEmpty != true }

  override var missingDerivative: AutogradError? {
    target.derivative == nil ? AutogradError(.notDifferentiable, in: target.name, "has no derivative") : nil
  }

  /// Keeps a result whose elements the formulas read.
  func save(_ result: SavedTensor, at index: Int, count: Int) {
    if results.isEmpty { results = Array(repeating: nil, count: count) }
    results[index] = result
  }

  override func releaseSavedTensors() {
    var savesAny = false
    forEachSaved { _ in savesAny = true }
    guard savesAny else { return }
    isReleased = true
    arguments = []
    results = []
  }

  override func forEachSaved(_ body: (SavedTensor) -> Void) {
    for argument in arguments {
      argument.forEachReference { if case .saved(let tensor) = $0 { body(tensor) } }
    }
    for result in results { if let result { body(result) } }
  }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    guard gradients.contains(where: { $0 != nil }) else { return Array(repeating: nil, count: nextEdges.count) }
    guard !isReleased else { throw AutogradError.backwardTwice(target.name) }
    let memory = Storage(fakeByteCount: 0)
    func standIn(_ meta: TensorMeta) -> Tensor { Tensor(unchecked: memory, layout: meta.layout, dtype: meta.dtype) }

    let values = try arguments.map { argument in
      try argument.map { kept -> Value in
        switch kept {
        case .saved(let tensor): .reference(try tensor.unpacked(by: self))
        case .metadata(let meta): .reference(standIn(meta))
        }
      }
    }
    let results = try inputMetadata.indices.map { index in
      try self.results.isEmpty ? nil : self.results[index]?.unpacked(by: self)
    }
    let context = DerivativeContext(
      call: OperatorCall(target, values),
      results: zip(results, inputMetadata).map { $0 ?? standIn($1 ?? TensorMeta(dtype: .float32, sizes: [0])) },
      gradients: gradients, needed: needed.positions)
    return flattened(try target.gradients(context))
  }

  /// One gradient per edge, from one per parameter.
  private func flattened(_ gradients: [Int: Value]) -> [Tensor?] {
    var result: [Tensor?] = []
    result.reserveCapacity(nextEdges.count)
    for (position, argument) in arguments.enumerated() {
      switch argument {
      case .reference: result.append(gradients[position]?.reference)
      case .list(let elements), .tuple(let elements):
        let list = gradients[position]?.elements
        for (index, element) in elements.enumerated() where element.reference != nil {
          result.append(list.flatMap { index < $0.count ? $0[index].reference : nil })
        }
      default: continue
      }
    }
    return result
  }
}

extension AutogradError {
  package static func backwardTwice(_ name: OperatorName?) -> AutogradError {
    AutogradError(
      .backwardTwice, in: name,
      "the values saved for this gradient were freed by an earlier backward pass; pass retainGraph: true to that one to go through the graph again"
    )
  }
}
