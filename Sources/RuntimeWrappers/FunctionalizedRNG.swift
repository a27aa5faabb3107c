import AOTArtifacts
import GraphIR
import TensorCore

/// Gives the graph its random numbers: the key of the generator in use, and the first of the counters that its draws take.
///
/// The counters are taken at once and for good, so the generator is left where the eager function would leave it. The backward
/// graph gets both as saved values where it draws again.
public struct FunctionalizedRNG: RuntimeWrapper {
  public static let name = "functionalized RNG"

  private let blockCount: Int

  /// nil where nothing is drawn.
  public init?(_ meta: ViewAndMutationMeta) {
    guard let count = meta.randomBlockCount else { return nil }
    blockCount = count
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { [blockCount] arguments in
      let (philox, counter) = Generator.inUse.take(blocks: blockCount)
      return try inner(arguments + [try Self.operand(philox.key), try Self.operand(counter)])
    }
  }

  private static func operand(_ number: UInt64) throws -> Tensor {
    try Tensor([Int(bitPattern: UInt(number))], shape: [])
  }
}
