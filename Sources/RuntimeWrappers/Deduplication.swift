import AOTArtifacts
import GraphIR
import TensorCore

/// Passes each distinct tensor once, then the tensors that the closure captured.
///
/// The same tensor given twice is one input of the graph, so that its gradient is the sum over both uses. Arguments that are
/// no tensors are part of the guard and of the graph, not of its inputs.
public struct Deduplication: RuntimeWrapper, @unchecked Sendable {
  // Sendable: the captured tensors are handed on, never read here.
  public static let name = "dedupe"

  private let positions: [Int]
  private let closedOver: [Tensor]

  /// nil where the graph takes the arguments as they come.
  public init?(_ capture: AOTGraphCapture) {
    positions = capture.inputPositions
    let isPlain = capture.signature.arguments.count { $0.reference != nil } == positions.count
    if isPlain, capture.closedOver.isEmpty, positions.elementsEqual(positions.indices) { return nil }
    closedOver = capture.closedOver
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in try inner(positions.map { arguments[$0] } + closedOver) }
  }
}
