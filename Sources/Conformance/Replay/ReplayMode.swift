import AOTAutograd
import AOTAutogradTesting
import GraphIR
import TensorCore

/// How recorded calls are made.
public enum ReplayMode: Sendable {
  /// As a user's eager program makes them.
  case eager
  /// Each captured and compiled as a function of its inputs, gradients through the joint graph.
  case compiled(AOTConfiguration)

  var isCapturing: Bool { if case .compiled = self { true } else { false } }

  /// - Parameter body: The call, of tensors that stand for `inputs` in their order.
  func run(_ inputs: [Tensor], _ body: @escaping ([Tensor]) throws -> Value) throws -> Value {
    switch self {
    case .eager: try body(inputs)
    case .compiled(let configuration): try compiledCall(inputs, configuration, body)
    }
  }
}
