import GraphIR
import Operators
import TensorCore

/// Views that are made anew at every call, of a base whose geometry is known ahead: so are theirs.
public final class PreparedViews: @unchecked Sendable {
  // Sendable: the arguments hold no tensors.
  private let steps: [ViewStep]
  private let sizes: [SymInt]
  private let strides: [SymInt]
  private let dtype: DType
  /// Where each view lies, from the first element of the base on; nil where that takes the calls themselves to tell.
  private let layouts: [Layout]?
  private let arguments: [[Value]]

  /// - Parameter base: What the views are taken of; nil where it is not known ahead.
  public init(_ steps: [ViewStep], of base: TensorMeta?) {
    self.steps = steps
    arguments = steps.map { step in
      ((try? step.target.schema.filled([.none] + step.arguments.map { $0.widened() })) ?? []).dropFirst().map(\.self)
    }
    sizes = base?.sizes ?? []
    strides = base?.layout.strides ?? []
    dtype = base?.dtype ?? .float32
    layouts = base.flatMap { try? Self.layouts(steps, of: $0) }
  }

  private static func layouts(_ steps: [ViewStep], of base: TensorMeta) throws -> [Layout]? {
    let isKnown = steps.allSatisfy {
      !$0.isWithoutGrad && $0.target.viewDType == nil && $0.target !== OperatorLibrary.asStrided
    }
    guard isKnown else { return nil }
    var base = base
    base.layout.offset = 0
    var view = try Tensor(fake: base)
    return try DispatchContext.current.withMode(nil) {
      try steps.map { step in
        view = try step.applied(to: view)
        return view.layout
      }
    }
  }

  /// The view at the end of the chain.
  public func applied(to base: Tensor) throws -> Tensor {
    let context = DispatchContext.current
    guard let layouts, base.has(dtype, sizes, strides), base.wrapperMeta == nil, context.mode == nil,
      !context.recordsGradients || base.recordingAutograd == nil
    else { return try steps.applied(to: base) }
    let offset = base.storageOffset
    var view = base
    for index in 0..<steps.count {
      view = steps[index].target.view(
        of: view, at: layouts[index], from: offset, arguments[index], resultIndex: steps[index].resultIndex)
    }
    return view
  }
}
