/// What effects have an order among themselves: those of one kind happen one after the other, as the program says.
public struct EffectKind: Hashable, Sendable {
  public var name: String

  public init(_ name: String) { self.name = name }

  /// The kind of every effect that does not say otherwise.
  public static let ordered = EffectKind("ordered")
}
