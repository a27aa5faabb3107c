import AOTAutograd
import AOTAutogradTesting
import XCTest

typealias CallArguments = CheckedCall.Arguments

/// The ways of compiling that are compared with eager execution.
let comparedConfigurations: [(String, AOTConfiguration)] = [
  ("cpu", AOTConfiguration(debugAssertions: true)), ("cpu, default partition", AOTConfiguration(partitioner: .default)),
  ("interpret", AOTConfiguration(compiler: .interpret)),
]

/// Compares calls of a function compiled with eager ones, in every configuration: the first call, which compiles, and a
/// second, which must find the entry.
///
/// - Parameters:
///   - arguments: Makes the arguments anew for each call.
///   - backward: Gives the gradients of a result; nil for one that the backward pass does not start at.
func assertCompiledAgrees(
  _ arguments: @escaping () throws -> CallArguments,
  backward: @escaping (Tensor) throws -> Tensor? = { try CheckedCall.unevenTangent(root: 0, tensor: $0) }, line: UInt = #line, file: StaticString = #filePath,
  _ body: @escaping ([Tensor]) throws -> [Tensor]
) throws {
  for (name, configuration) in comparedConfigurations {
    let calls = [false, true].map { CheckedCall(isLikePrevious: $0, tangent: { try backward($1) }, arguments) }
    XCTAssertNoThrow(
      try aotcheck(configuration: configuration, calls: calls) { try body($0) }, name, file: file, line: line)
  }
}

/// A tensor whose elements go up and down, the same at each call.
func wave(_ shape: [Int], from start: Double = 0, requiresGrad: Bool = false) throws -> Tensor {
  let count = shape.reduce(1, *)
  let values = (0..<count).map { Float(((start + Double($0) * 0.7319).truncatingRemainder(dividingBy: 2.3)) - 1.1) }
  let tensor = try Tensor(values, shape: shape)
  return requiresGrad ? try tensor.requiringGrad() : tensor
}
