import GraphIR
import TensorCore

/// How a tensor came to be a view: the call that made it of its source.
public final class ViewRecord: ViewMeta {
  /// The tensor that the view was taken of; a view itself or the base.
  public var source: Tensor { storedSource! }
  /// The operator whose call gave the view.
  public let target: OperatorDefinition
  /// The call's arguments after the first, which is the source.
  public private(set) var arguments: ArraySlice<Value>
  /// Which of the call's results this view is.
  public let resultIndex: Int
  public package(set) var circumstance: Circumstance
  /// The version of the memory that the view's gradient history belongs to: where memory has moved on, the history must be
  /// derived anew from the base's.
  package var historyVersion: Int
  /// nil only while the record is being freed.
  private var storedSource: Tensor?

  /// What was special when a view was made: autograd refuses writes through some views.
  public enum Circumstance: Hashable, Sendable {
    case ordinary
    case gradientsDisabled
    case inferenceMode
    /// One of several views that one call gave.
    case severalViews
    /// The result of a custom function.
    case customFunction
  }

  init(
    of source: Tensor, by target: OperatorDefinition, _ arguments: ArraySlice<Value>, resultIndex: Int = 0
  ) {
    self.storedSource = source
    self.target = target
    self.arguments = arguments
    self.resultIndex = resultIndex
    let own = Circumstance(of: target)
    let known = own == .ordinary && source.isView ? source.viewRecord?.circumstance : nil
    self.circumstance = known ?? own
    self.historyVersion = source.memoryVersion
    super.init(base: source.rootOfViews)
  }

  deinit {
    // A base ends the chain.
    if storedSource?.isView == false { return }
    DeferredRelease.release { pending in
      for argument in arguments { argument.forEachReference { pending.append($0) } }
      pending.append(source)
      arguments = []
      storedSource = nil
    }
  }
}

extension ViewRecord.Circumstance {
  fileprivate init(of target: OperatorDefinition) {
    let context = DispatchContext.current
    if context.isInferenceMode {
      self = .inferenceMode
    } else if !context.isGradEnabled {
      self = .gradientsDisabled
    } else if case .list = target.schema.returns.first?.type {
      self = .severalViews
    } else {
      self = .ordinary
    }
  }
}

extension Tensor {
  /// How this tensor was made as a view; nil for a tensor that is no view.
  public var viewRecord: ViewRecord? { viewMeta.map { unsafeDowncast($0, to: ViewRecord.self) } }
}
