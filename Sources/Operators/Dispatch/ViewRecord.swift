import GraphIR
import TensorCore

/// How a tensor came to be a view: the call that made it of its source.
public final class ViewRecord: ViewMeta {
  /// The tensor that the view was taken of; a view itself or the base.
  public var source: Tensor { storedSource! }
  @exclusivity(unchecked) public private(set) var call: OperatorCall
  /// Which of the call's results this view is.
  public let resultIndex: Int
  @exclusivity(unchecked) public package(set) var circumstance: Circumstance
  /// The version of the memory that the view's gradient history belongs to: where memory has moved on, the history must be
  /// derived anew from the base's.
  @exclusivity(unchecked) package var historyVersion: Int
  /// nil only while the record is being freed.
  @exclusivity(unchecked) private var storedSource: Tensor?

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

  init(of source: Tensor, by call: OperatorCall, resultIndex: Int = 0) {
    self.storedSource = source
    self.call = call
    self.resultIndex = resultIndex
    let own = Circumstance(of: call)
    self.circumstance = own == .ordinary ? source.viewRecord?.circumstance ?? own : own
    self.historyVersion = source.storage.version
    super.init(base: source.viewMeta?.base ?? source)
  }

  deinit {
    // A base ends the chain.
    if storedSource?.viewMeta == nil { return }
    DeferredRelease.release { pending in
      for argument in call.arguments { argument.forEachReference { pending.append($0) } }
      pending.append(source)
      call.arguments = []
      storedSource = nil
    }
  }
}

extension ViewRecord.Circumstance {
  fileprivate init(of call: OperatorCall) {
    let context = DispatchContext.current
    if context.isInferenceMode {
      self = .inferenceMode
    } else if !context.isGradEnabled {
      self = .gradientsDisabled
    } else if case .list = call.target.schema.returns.first?.type {
      self = .severalViews
    } else {
      self = .ordinary
    }
  }
}

extension Tensor {
  public var isView: Bool { viewMeta != nil }

  /// How this tensor was made as a view; nil for a tensor that is no view.
  public var viewRecord: ViewRecord? { viewMeta.map { unsafeDowncast($0, to: ViewRecord.self) } }
}
