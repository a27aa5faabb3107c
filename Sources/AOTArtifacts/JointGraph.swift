import GraphIR

/// Forward and backward in one graph.
///
/// Inputs are the primals, then one tangent (`.tangent(of:)`) per forward output that a gradient can flow into; the output is
/// one tuple: the forward outputs, then one gradient (`.gradient(of:)`) or none per primal.
public struct JointGraph {
  public var module: GraphModule
  public var primalCount: Int
  public var forwardOutputCount: Int
  /// The forward outputs that have a tangent, by position, in the tangents' order.
  public var differentiableOutputs: [Int]
  /// Why the gradient of a forward output cannot be followed, by position: eager autograd says so when a backward pass starts
  /// at the output, not before.
  public var failures: [Int: any Error]

  public init(
    module: GraphModule, primalCount: Int, forwardOutputCount: Int, differentiableOutputs: [Int],
    failures: [Int: any Error] = [:]
  ) {
    self.module = module
    self.primalCount = primalCount
    self.forwardOutputCount = forwardOutputCount
    self.differentiableOutputs = differentiableOutputs
    self.failures = failures
  }
}
