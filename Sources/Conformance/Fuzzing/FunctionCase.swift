import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// A random function and the calls that are made of it.
struct FunctionCase: Sendable {
  /// Makes the tensors that the function closes over; they live through all calls.
  var captured: TensorProgram
  /// Takes the arguments, then the captured tensors.
  var body: TensorProgram
  var calls: [Call]
  var configuration: AOTConfiguration

  struct Call: Sendable {
    /// Makes the arguments.
    var arguments: TensorProgram
    var isGradEnabled = true
    var isLikePrevious = false
    /// Bit by bit, which roots the backward pass does not start at.
    var omittedRoots: UInt64 = 0
    /// What the caller does with the arguments, then the outputs that are tensors.
    var afterwards: TensorProgram?
  }

  /// Makes all calls eagerly and compiled.
  func check() throws -> FunctionCheck.Outcome {
    try FunctionCheck(
      configuration: configuration, calls: calls.map(\.checked), captured: { try captured.arguments() }
    ) { arguments, captured in try body(arguments + captured) }.run()
  }

  /// The text of the graph that is captured at the first call; nil where none is.
  func capturedGraph() -> String? {
    guard let call = calls.first, let tensors = try? captured.arguments().tensors,
      let arguments = try? call.arguments.arguments().tensors
    else { return nil }
    let function = aotFunction(configuration: configuration) { (inputs: [Tensor]) in try body(inputs + tensors) }
    let mode = call.isGradEnabled
    let stages = try? DispatchContext.current.withGrad(mode) { () throws in try function.stages(arguments) }
    return stages?.captured.description
  }
}

extension TensorProgram {
  /// What a program without parameters makes: its results, and the leaves behind them.
  func arguments() throws -> CheckedCall.Arguments {
    let values = try values(of: [])
    return .init(try results(in: values).compactMap(\.self), behind: try leaves.map { try values.tensor($0) })
  }

  /// The values that gradients are wanted of.
  var leaves: [Name] {
    steps.compactMap { step in
      switch step.action {
      case .literal(let literal): literal.requiresGrad ? step.results[0] : nil
      case .requireGrad(let name): name
      case .call, .gradMode: nil
      }
    }
  }
}

extension FunctionCase.Call {
  fileprivate var checked: CheckedCall {
    CheckedCall(
      isGradEnabled: isGradEnabled, isLikePrevious: isLikePrevious,
      tangent: { root, tensor in
        omittedRoots >> UInt64(root % 64) & 1 == 1 ? nil : try CheckedCall.unevenTangent(root: root, tensor: tensor)
      },
      afterwards: afterwards.map { program in
        { arguments, outputs in _ = try program(arguments + outputs.compactMap(\.self)) }
      }
    ) { try arguments.arguments() }
  }
}
