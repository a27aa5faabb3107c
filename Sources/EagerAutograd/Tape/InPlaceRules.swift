import GraphIR
import Operators
import TensorCore

/// What writing in place means to the tape.
package enum InPlaceRules {
  /// Refuses writes that gradients could not follow.
  ///
  /// - Throws: `AutogradError` with code `leafInPlace` or `viewInPlace`.
  static func check(_ call: OperatorCall) throws {
    for (parameter, argument) in zip(call.target.schema.parameters, call.arguments)
    where parameter.alias?.isWrite == true {
      try argument.forEachReference { try check($0, call.target) }
    }
  }

  /// Refuses a write to one tensor.
  package static func check(_ tensor: Tensor, _ target: OperatorDefinition) throws {
    if let record = tensor.viewRecord {
      try ViewHistory.checkWritable(record, tensor, target.name)
      if record.base.autogradState?.isRequired == true {
        throw AutogradError(
          .leafInPlace, in: target.name,
          "would write to a view of a leaf that requires a gradient; do it inside noGrad { }, or write to a clone")
      }
      if target.schema.returns.count > 1 {
        throw AutogradError(
          .viewInPlace, in: target.name, "gives several results and cannot write to a view; clone it first")
      }
    }
    if tensor.autogradState?.isRequired == true {
      throw AutogradError(
        .leafInPlace, in: target.name,
        "would write to a leaf that requires a gradient; do it inside noGrad { }, or write to a clone")
    }
  }

  /// Makes what a call did part of the history of the tensor that it wrote to.
  ///
  /// - Parameters:
  ///   - edge: The function of the call, and which of its results the tensor is.
  ///   - slot: Which of the function's next edges leads to what the tensor was before.
  ///   - layoutOnly: Whether no element was written.
  static func rebase(_ tensor: Tensor, onto edge: GradientEdge, slot: Int, layoutOnly: Bool) throws {
    guard let record = tensor.viewRecord else { return tensor.setHistory(edge) }
    if layoutOnly {
      // The view of what it was has a state of its own; the one so far stays with that.
      tensor.autogradMeta = AutogradState(history: edge)
      record.historyVersion = tensor.storage.version
      return
    }
    // Through the view, the base was written to: its history moves on, and the view's is derived from it when asked for.
    let slices = CopySlices(
      base: record.base, edge: try record.base.gradientEdge(), views: ViewChain(record, to: tensor),
      function: edge.function,
      slot: slot)
    record.base.setHistory(GradientEdge(slices))
  }
}
