import GraphIR
import Operators
import TensorCore

extension Tensor {
  /// The history that belongs to the tensor's current elements; nil for a leaf.
  ///
  /// A write through the base or another view of it changes a view's elements without the view's doing: the version of
  /// the memory tells, and the history is derived anew from the base's.
  func currentHistory() throws -> GradientEdge? {
    guard let record = viewRecord else { return autogradState?.history }
    let own = autogradState?.history
    if record.historyVersion == storage.version { return own }
    guard own != nil || record.base.requiresGrad else { return nil }
    try ViewHistory.checkFollowable(record, self)
    if autogradState?.isRequired == true { return nil }
    let edge = try ViewHistory.derived(for: self, record)
    record.historyVersion = storage.version
    if let edge { setHistory(edge) }
    return edge
  }
}

/// How the gradient of a tensor finds the way to what it is a view of.
public enum ViewGradient: Hashable, Sendable {
  /// The tensor is no view, or wants no gradient.
  case none
  case followed
  /// The gradient can be followed as long as the memory is not written to: the view is one of several that one call gave, say, or
  /// was made inside noGrad { }.
  case conditional
  /// The memory was written to in a way that the gradient of such a view cannot follow: autograd refuses to use the view.
  case lost
  /// Autograd itself treats writes to the view otherwise than reads: its base came to require a gradient after the view was taken,
  /// or between the two is a view that was made a leaf.
  case unsettled
}

extension Tensor {
  /// Whether it requires a gradient by itself, and not only since its base does.
  package var hasOwnGradient: Bool { autogradState?.requiresGrad == true }

  package var viewGradient: ViewGradient {
    guard let record = viewRecord, requiresGrad else { return .none }
    if !hasOwnGradient, record.circumstance != .gradientsDisabled { return .unsettled }
    var source = record.source
    while let next = source.viewRecord {
      if source.isRequiringLeaf { return .unsettled }
      if source.requiresGrad, !source.hasOwnGradient, next.circumstance != .gradientsDisabled {
        return .unsettled
      }
      source = next.source
    }
    if record.circumstance == .ordinary { return .followed }
    return record.historyVersion == storage.version ? .conditional : .lost
  }

  /// Has a view be one of memory as it is now.
  package func settleViewGradient() { viewRecord?.historyVersion = storage.version }

  /// Has the gradient of a view be lost, as another one's is.
  package func loseViewGradient() { viewRecord?.historyVersion = -1 }
}

enum ViewHistory {
  /// The history of a view, as if it were taken of its base now.
  static func derived(for tensor: Tensor, _ record: ViewRecord) throws -> GradientEdge? {
    guard let edge = try record.base.gradientEdge() else { return nil }
    return try derived(from: edge, base: TensorMeta(record.base), ViewChain(record, to: tensor)).edge
  }

  /// The history of a view of a base with that history, and the view's layout.
  static func derived(
    from edge: GradientEdge, base: TensorMeta, _ chain: ViewChain
  ) throws -> (edge: GradientEdge, layout: Layout) {
    var edge = edge
    var source = base
    for step in chain.steps {
      let layouts = try step.layouts(of: source)
      let function = step.gradientFunction(of: source, next: edge)
      function.inputMetadata = layouts.map { TensorMeta(dtype: base.dtype, layout: $0, device: base.device) }
      edge = GradientEdge(function, inputIndex: step.resultIndex)
      source.layout = layouts[step.resultIndex]
    }
    return (edge, source.layout)
  }

  /// - Throws: `AutogradError` where the view must not be written to, since its gradient could not be followed.
  static func checkWritable(_ record: ViewRecord, _ tensor: Tensor, _ name: OperatorName) throws {
    if let reason = obstacle(record) { throw AutogradError(.viewInPlace, in: name, "would write to a view. \(reason)") }
  }

  /// - Throws: `AutogradError` where the memory of such a view must not have been written to.
  static func checkFollowable(_ record: ViewRecord, _ tensor: Tensor) throws {
    if let reason = obstacle(record) {
      throw AutogradError(
        .viewInPlace, in: record.target.name,
        "the base of this view, or another view of it, was written to. \(reason)")
    }
  }

  private static func obstacle(_ record: ViewRecord) -> String? {
    switch record.circumstance {
    case .ordinary: nil
    case .gradientsDisabled:
      """
      The view was made inside noGrad { } and the write happens outside of it, so it is not clear whether gradients are \
      to follow it: do both inside, or both outside
      """
    case .inferenceMode:
      """
      The view was made inside inferenceMode { } and the write happens outside of it, so it is not clear whether \
      gradients are to follow it: do both inside, or both outside
      """
    case .severalViews:
      """
      The view is one of several that \(record.target.name) gave at once, and those cannot be written to: use an \
      operator that gives a new tensor, or take the views one by one
      """
    case .customFunction:
      """
      The view was given by a custom function, whose own gradient would be bypassed: clone what the function gives
      """
    }
  }
}

/// The views that lead from a base to a view of it, without the tensors: they would keep their own history alive.
package struct ViewChain {
  let steps: [Step]

  private init(_ record: ViewRecord) {
    var steps: [Step] = []
    var current: ViewRecord? = record
    while let record = current {
      steps.append(
        Step(
          target: record.target, arguments: Array(record.arguments),
          resultIndex: record.resultIndex))
      current = record.source.viewRecord
    }
    self.steps = steps.reversed()
  }

  /// The views of which one led to `tensor`; where the base was given another layout since, the place in its memory that has not
  /// changed.
  init(_ record: ViewRecord, to tensor: Tensor) {
    let chain = ViewChain(record)
    // Where a stand-in for an argument starts in its storage is not known.
    if let layout = try? chain.layout(of: TensorMeta(record.base)), layout.sizes == tensor.sizes,
      layout.strides == tensor.strides, layout.offset == tensor.layout.offset || tensor.isFake
    {
      self = chain
    } else {
      let place: [Value] = [.integers(tensor.sizes), .integers(tensor.strides), .int(tensor.layout.offset)]
      steps = [Step(target: OperatorLibrary.asStrided, arguments: place, resultIndex: 0)]
    }
  }

  private func layout(of base: TensorMeta) throws -> Layout {
    try steps.reduce(into: base) { $0.layout = try $1.layouts(of: $0)[$1.resultIndex] }.layout
  }

  /// The same view of another tensor of the base's size.
  func applied(to base: Tensor) throws -> Tensor {
    try steps.reduce(base) { source, step in
      let value = try step.target.evaluate([.reference(source)] + step.arguments)
      guard let view = value.results[step.resultIndex].reference else {
        preconditionFailure("\(step.target.name) gave fewer views than before")
      }
      return view
    }
  }

  struct Step {
    let target: OperatorDefinition
    /// Those after the first.
    let arguments: [Value]
    let resultIndex: Int

    func layouts(of source: TensorMeta) throws -> [Layout] {
      guard case .view(let rule) = target.implementation else {
        preconditionFailure("\(target.name) made a view without being one")
      }
      // What a view may reach is checked when it is made.
      let standIn = Tensor(unchecked: Storage(fakeByteCount: .max), layout: source.layout, dtype: source.dtype)
      return try rule(OperatorCall(target, [.reference(standIn)] + arguments))
    }

    func gradientFunction(of source: TensorMeta, next: GradientEdge) -> OperatorGradient {
      var needed = PositionSet()
      needed.insert(0)
      let rest = arguments.map { argument in
        argument.map { Argument<OperatorGradient.KeptReference>.reference(.metadata(TensorMeta($0))) }
      }
      let others = rest.reduce(0) { $0 + $1.references.count }
      return OperatorGradient(
        target, needed: needed, arguments: [.reference(.metadata(source))] + rest,
        nextEdges: [next] + Array(repeating: nil, count: others))
    }
  }
}
