/// What a min-cut partition may recompute in the backward pass.
///
/// The cut itself weighs bytes alone. Recomputing costs time as well, and these rules say where it costs too much: what they
/// name is never recomputed. Views cost nothing and are always recomputed.
///
/// A `RecomputeTag` on a node comes before these rules; one on a call with several results holds for all of them, one on an
/// input has no meaning:
/// - `mustSave`: never recomputed, a view neither;
/// - `preferSave`: never recomputed, except for a view, which may be saved in place of what it is a view of;
/// - `preferRecompute`: recomputed where that saves bytes, whatever the rules say;
/// - `mustRecompute`: never saved. An error for what cannot run twice.
public struct RecomputePolicy: Hashable, Sendable {
  /// Matrix products, convolutions and the like (`OperatorTraits.computeBound`) are not recomputed.
  public var savesComputeBound = true
  /// A reduction whose result has at most one byte per this many bytes of its arguments is not recomputed: saving it is cheap
  /// and recomputing reads all the arguments. Nil lets every reduction be recomputed.
  public var reductionRatio: Int? = 4
  /// Operators of which nothing is known (no view, not pointwise, no reduction, no factory) are not recomputed.
  public var savesUnclassified = true
  /// A value that a backward operator reads which cannot fuse with it, such as a matrix product, is not recomputed: it would
  /// have to be written to memory anew.
  public var savesMaterializedInBackward = true
  /// Of the uses of a value that lie on both sides of an operator that does not fuse, the later ones are not recomputed: one
  /// fused kernel could not compute both.
  public var savesUsedFarApart = true
  /// After this many fusible operators in a row one is saved, so that no chain runs from the start of a model to its end.
  /// Nil leaves chains as long as they are.
  public var longestFusibleChain: Int? = 100
  /// Saving what the function closes over, such as parameters, costs nothing: it lives on anyway.
  public var closedOverIsFree = true
  /// Saving an argument costs nothing. False counts its bytes: the caller may have no more use for it.
  public var inputsAreFree = false
  /// Saving what the function returns costs nothing: the caller holds it.
  public var outputsAreFree = true

  public init() {}

  /// The rules above with their defaults: memory is saved where that costs next to no time.
  public static let standard = RecomputePolicy()

  /// Recomputes whatever is not compute bound, for the least memory that needs no second matrix product.
  public static let aggressive: RecomputePolicy = {
    var policy = RecomputePolicy()
    policy.reductionRatio = nil
    policy.savesUnclassified = false
    policy.savesMaterializedInBackward = false
    policy.savesUsedFarApart = false
    policy.longestFusibleChain = nil
    return policy
  }()
}
