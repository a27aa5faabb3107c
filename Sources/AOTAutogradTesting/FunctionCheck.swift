import AOTAutograd
import Capture
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Checks that a function does compiled what it does eagerly.
///
/// ```swift
/// try aotcheck(calls: [.init { [try Tensor([1.0, 2]).requiringGrad() * 2] }]) { inputs in
///   [try inputs[0].mul_(2).view([2, 1])]
/// }
/// ```
///
/// Everything that a caller can see is compared: elements, sizes, strides, offsets, dtypes, `requiresGrad`, `isLeaf`; which
/// tensors are one and the same and which share memory; all memory behind arguments and whether it was written to; grad mode
/// after the call; gradients of leaves; which calls throw. A gradient that is missing in one may be zeros in the other.
///
/// - Parameters:
///   - calls: Made in order, of one compiled function.
///   - captured: Makes the tensors that the function uses without getting them as arguments; they live through all calls.
///   - function: Gives tensors or nil. The same arguments must lead to the same calls of operators.
/// - Throws: `FunctionCheckError` with all differences of the first call that has any; what making the arguments throws.
public func aotcheck(
  configuration: AOTConfiguration = .init(), calls: [CheckedCall],
  capturing captured: @escaping () throws -> CheckedCall.Arguments,
  _ function: @escaping (_ arguments: [Tensor], _ captured: [Tensor]) throws -> [Tensor?]
) throws {
  let check = FunctionCheck(configuration: configuration, calls: calls, captured: captured, function: function)
  switch try check.run() {
  case .agrees: break
  case .refuses(let call, let error): throw FunctionCheckError(call: call, differences: ["throws \(error.unlocated)"])
  case .differs(let error): throw error
  }
}

/// As `aotcheck`, for a function that uses nothing but its arguments.
public func aotcheck(
  configuration: AOTConfiguration = .init(), calls: [CheckedCall],
  _ function: @escaping (_ arguments: [Tensor]) throws -> [Tensor?]
) throws {
  try aotcheck(configuration: configuration, calls: calls, capturing: { [] }) { arguments, _ in try function(arguments)
  }
}

/// How a compiled call differs from an eager one.
public struct FunctionCheckError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The first call that differs, counted from 0.
  public let call: Int
  public let differences: [String]

  public var description: String { (["call \(call):"] + differences).joined(separator: "\n  ") }
}

/// What `aotcheck` does, with what came of it as a value.
package struct FunctionCheck {
  package enum Outcome {
    case agrees
    /// The compiled function says that it cannot do what the eager one does.
    case refuses(call: Int, any Error)
    case differs(FunctionCheckError)
  }

  let configuration: AOTConfiguration
  let calls: [CheckedCall]
  let captured: () throws -> CheckedCall.Arguments
  let function: ([Tensor], [Tensor]) throws -> [Tensor?]

  package init(
    configuration: AOTConfiguration, calls: [CheckedCall], captured: @escaping () throws -> CheckedCall.Arguments,
    function: @escaping ([Tensor], [Tensor]) throws -> [Tensor?]
  ) {
    self.configuration = configuration
    self.calls = calls
    self.captured = captured
    self.function = function
  }

  package func run() throws -> Outcome {
    let make = { try Generator(seed: 0).use(captured) }
    let (eagerCaptured, compiledCaptured) = (try make(), try make())
    let compiled = aotFunction(configuration: configuration) { [function] (inputs: [Tensor]) in
      try function(inputs, compiledCaptured.tensors)
    }
    for (index, call) in calls.enumerated() {
      let isLast = index == calls.count - 1
      let eager = try CallObservation(of: call, captured: eagerCaptured, number: index, isLast: isLast) {
        try function($0, eagerCaptured.tensors)
      }
      let entryCount = compiled.entryCount
      let got = try CallObservation(of: call, captured: compiledCaptured, number: index, isLast: isLast) {
        try compiled($0)
      }
      if let error = got.refusal(where: eager) { return .refuses(call: index, error) }
      var differences = got.differences(from: eager)
      if call.isLikePrevious, got.failure == nil, compiled.entryCount != entryCount {
        differences.append("compiles anew, though nothing that compilation relies on has changed")
      }
      if !differences.isEmpty { return .differs(FunctionCheckError(call: index, differences: differences)) }
      // What throws may have written to captured tensors eagerly, and must not have compiled.
      if eager.failure != nil || got.failure != nil { return .agrees }
    }
    return .agrees
  }
}
