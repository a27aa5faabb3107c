import TensorCore

extension Tensor {
  /// Why a backward pass from this tensor would fail as memory is now: something that was saved for it has been written to
  /// since, or an operator has no derivative, or a write cannot be followed. nil where it would not.
  package func backwardFailure() throws -> AutogradError? {
    guard requiresGrad else { return nil }
    let first: GradientEdge?
    // Memory may have been written to in a way that a view's history cannot follow.
    do { first = try gradientEdge() } catch let error as AutogradError { return error }
    guard let edge = first else { return nil }
    var failure: AutogradError?
    var pending = [edge.function]
    var seen: Set<ObjectIdentifier> = []
    while let function = pending.popLast(), failure == nil {
      guard seen.insert(ObjectIdentifier(function)).inserted, function.leadsOn else { continue }
      function.forEachSaved { failure = failure ?? $0.failure(in: function) }
      failure = failure ?? function.missingDerivative
      for edge in function.nextEdges { if let edge { pending.append(edge.function) } }
    }
    return failure
  }

  /// Whether the tensor is a leaf that was asked for gradients itself, rather than by what it is a view of.
  package var isRequiringLeaf: Bool { autogradState?.isRequired == true }
}
