import AOTArtifacts
import GraphIR
import TensorCore

/// Gives the graph one base for inputs that share memory which the function writes to; the views that the inputs are of it
/// are made inside the graph. Outputs that are such inputs keep their identity.
public struct SyntheticBase: RuntimeWrapper {
  public static let name = "synthetic base"

  /// What the graph gets before its other inputs.
  enum Base: Hashable, Sendable {
    /// What autograd knows as the base of an input.
    case autogradBase(of: Int)
    /// The first elements of the storage of an input, without autograd.
    case storage(of: Int, elementCount: Int)
  }

  let bases: [Base]
  /// The inputs that the graph gets as they are, in order.
  let otherInputs: [Int]
  /// Made on inputs of which the graph only knows the base.
  let layoutChanges: [LayoutChange]
  /// Outputs that are such inputs, or views of them that the graph's base has not the gradient history of.
  let outputs: [Output]

  struct Output: Hashable, Sendable {
    /// Where it stands among the results: a function may return one tensor several times.
    var positions: [Int]
    let input: Int
    /// None for the input itself.
    let views: [ViewStep]
    /// Whether the views are made before the function writes: eager autograd treats such otherwise than later ones.
    let isMadeBeforeWrites: Bool

    func made(of arguments: [Tensor]) throws -> Value { .reference(try views.applied(to: arguments[input])) }
  }

  /// The function with bases in the place of inputs, and the wrapper that provides them; nil where nothing is to be done.
  public static func preCompile(_ capture: AOTGraphCapture) throws -> (AOTGraphCapture, SyntheticBase?) {
    let groups = AliasGroup.groups(of: capture)
    if groups.isEmpty { return (capture, nil) }
    var rewriting = SyntheticBaseRewriting(capture)
    for group in groups { try rewriting.replace(group) }
    return try rewriting.finish()
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    let earlyOutputs = outputs.filter(\.isMadeBeforeWrites)
    let lateOutputs = outputs.filter { !$0.isMadeBeforeWrites }
    return { arguments in
      for change in layoutChanges { try change.check(arguments) }
      let firstUses = layoutChanges.map { $0.isFirstUse(arguments) }
      let inputs = bases.map { Self.tensor($0, arguments) } + otherInputs.map { arguments[$0] }
      let early = try earlyOutputs.map { ($0.positions, try $0.made(of: arguments)) }
      var results = try inner(inputs)
      for (change, isFirst) in zip(layoutChanges, firstUses) { try change.make(arguments, isFirstUse: isFirst) }
      let late = try lateOutputs.map { ($0.positions, try $0.made(of: arguments)) }
      for (positions, output) in early + late {
        for position in positions { results[position] = output }
      }
      return results
    }
  }

  private static func tensor(_ base: Base, _ arguments: [Tensor]) -> Tensor {
    switch base {
    case .autogradBase(let input): arguments[input].baseInItsMemory
    case .storage(let input, let count):
      Tensor(
        unchecked: arguments[input].storage, layout: Layout(contiguous: [SymInt(count)]), dtype: arguments[input].dtype)
    }
  }
}
