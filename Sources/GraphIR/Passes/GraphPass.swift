/// A transformation of a graph that keeps what it computes.
public protocol GraphPass: Sendable {
  /// The name it is switched off and dumped by, in kebab case.
  var name: String { get }

  /// Transforms the module.
  ///
  /// - Returns: How many nodes changed; 0 where the pass found nothing to do.
  func run(on module: inout GraphModule) throws -> Int
}
