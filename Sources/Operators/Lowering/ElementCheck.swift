import LoopIR
import TensorCore

extension LoopBuilder {
  /// Fails the run with an error where a condition holds for any element of an input.
  mutating func refuse(
    _ error: OperatorError, where condition: ScalarExpression, in input: Operand
  ) {
    let isRefused = temporary(.bool, [])
    rows(
      [input], of: input.sizes, over: Array(input.sizes.indices),
      reductions: [.init(.any, condition, dtype: .bool)], outer: [(isRefused, .reduced(0))])
    append(
      .host(
        HostKernel(name: "check elements", inputs: [isRefused], outputs: []) { inputs, _ in
          if inputs[0].load(as: Bool.self) { throw error }
        }))
  }
}
