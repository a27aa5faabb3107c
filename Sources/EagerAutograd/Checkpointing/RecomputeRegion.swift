import GraphIR
import Operators

/// Tags the operator calls of `body`, in a function that is compiled, with what the backward pass is to do about their results.
///
///     let attention = try recomputeRegion(.mustRecompute) {
///       let scores = try recomputeRegion(.mustSave) { try q.matmul(k.transpose(-2, -1)) }
///       return try (scores * scale).softmax(-1).matmul(v)
///     }
///
/// The innermost region around a call counts. What crosses from one outermost `.mustRecompute` region into a later one is saved,
/// so that neither has to compute the other again. Values are the same with or without regions: random numbers that are drawn
/// again are the same numbers, and effects happen once. Eager execution has no use for tags; there, `checkpoint` saves memory.
///
/// The tags are those of PyTorch's selective activation checkpointing (`torch.utils.checkpoint.CheckpointPolicy`).
public func recomputeRegion<Result, Failure: Error>(
  _ tag: RecomputeTag, _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
  let context = DispatchContext.current
  context.recomputeRegions.push(tag)
  defer { context.recomputeRegions.pop() }
  return try body()
}
