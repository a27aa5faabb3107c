import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Gives the caller outputs that share memory as the eager function's do: the input itself, views of inputs, views of one
/// intermediate value. The views are made anew on the real tensors, so autograd knows them as views.
public struct OutputRegeneration: RuntimeWrapper {
  public static let name = "output alias regeneration"

  private let outputs: [ViewAndMutationMeta.OutputInfo]
  private let keptCount: Int

  /// nil where every output is the graph's own.
  public init?(_ meta: ViewAndMutationMeta) {
    guard meta.intermediateBaseCount > 0 || meta.outputs.contains(where: { $0.kind != .nonAlias }) else { return nil }
    outputs = meta.outputs
    keptCount = meta.outputs.count { $0.kind == .nonAlias }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      let results = try inner(arguments)
      var kept = results.prefix(keptCount).makeIterator()
      var values: [Value] = outputs.map { $0.kind == .nonAlias ? kept.next() ?? .none : .none }
      for (index, output) in outputs.enumerated() {
        switch output.kind {
        case .nonAlias: break
        case .constant(let constant): values[index] = constant.widened()
        case .isInput(let input): values[index] = arguments[input]
        case .aliasOfInput(let input): values[index] = try Self.view(output, of: arguments[input])
        case .aliasOfIntermediate(let base): values[index] = try Self.view(output, of: results[keptCount + base])
        case .aliasOfOutput(let other): values[index] = try Self.view(output, of: values[other])
        }
      }
      return values
    }
  }

  private static func view(_ output: ViewAndMutationMeta.OutputInfo, of base: Value) throws -> Value {
    guard let base = base.reference else {
      throw GraphError(.execution, "an output is a view of something that is no tensor")
    }
    return .reference(
      try output.requiresGrad ? output.views.applied(to: base) : noGrad { try output.views.applied(to: base) })
  }
}
