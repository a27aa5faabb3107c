import GraphIR
import Operators
import TensorCore

/// Runs `body` without keeping what its backward pass needs: the backward pass runs `body` again for that.
///
///     var x = tokens
///     for block in blocks { x = try checkpoint { [x] in try block(x) } }   // keeps one activation per block
///
/// The second run draws the random numbers of the first, so dropout masks are the same. `body` must compute the same from what it
/// captures both times: what it captures must not be written to in between, and what it does besides computing happens twice.
/// Checkpoints inside `body` become part of this one. In a function that is compiled, the body is a region tagged
/// `.mustRecompute`, and the compiler sees to all of that.
///
/// T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training deep nets with sublinear memory cost", 2016.
///
/// - Throws: What `body` throws. The backward pass throws `AutogradError` with code `recomputationDiffers` where the second run
///   makes other tensors than the first, `modifiedInPlace` where one that is needed is overwritten.
public func checkpoint<Result>(_ body: @escaping () throws -> Result) throws -> Result {
  let context = DispatchContext.current
  guard context.mode == nil else { return try recomputeRegion(.mustRecompute, body) }
  guard context.recordsGradients, context.savedTensorPacker == nil else { return try body() }
  return try context.withSavedTensorPacker(CheckpointedRun { _ = try body() }, body)
}

/// A run of a checkpoint's body, and the tensors that autograd saved in it, by number: they are computed again when they are asked for.
private final class CheckpointedRun: SavedTensorPacker {
  private let body: () throws -> Void
  private let generator = Generator.inUse.copy()
  /// Memory from here on is made by the body; older memory is kept by whoever made it.
  private let firstSerial = Storage.upcomingSerial
  private var savedCount = 0
  private var recomputed: [Int: RecomputedTensor] = [:]

  init(_ body: @escaping () throws -> Void) { self.body = body }

  func pack(_ tensor: Tensor) -> (() throws -> Tensor)? {
    guard tensor.storage.serial >= firstSerial else { return nil }
    let number = savedCount
    savedCount += 1
    let meta = TensorMeta(tensor)
    return { [self] in try unpack(number, expecting: meta) }
  }

  private func unpack(_ number: Int, expecting meta: TensorMeta) throws -> Tensor {
    if recomputed[number] == nil { try recompute() }
    guard let tensor = recomputed.removeValue(forKey: number), tensor.meta == meta else {
      throw AutogradError(
        .recomputationDiffers,
        "a checkpoint ran again and made other tensors than at first; what its closure computes may depend on nothing but "
          + "what it captured, unchanged")
    }
    return try tensor.unmodified()
  }

  private func recompute() throws {
    let run = RecomputingRun(since: firstSerial)
    try generator.copy().use {
      try enableGrad { try DispatchContext.current.withSavedTensorPacker(run, body) }
    }
    recomputed = run.tensors
  }
}

/// The second run of a checkpoint's body: keeps what autograd saves, numbered as in the first.
private final class RecomputingRun: SavedTensorPacker {
  private(set) var tensors: [Int: RecomputedTensor] = [:]
  private let firstSerial: UInt64

  init(since firstSerial: UInt64) { self.firstSerial = firstSerial }

  func pack(_ tensor: Tensor) -> (() throws -> Tensor)? {
    guard tensor.storage.serial >= firstSerial else { return nil }
    let recomputed = RecomputedTensor(tensor)
    tensors[tensors.count] = recomputed
    return recomputed.unmodified
  }
}

/// A saved tensor as memory, at the version it had when it was saved.
private struct RecomputedTensor {
  private let memory: Tensor
  private let version: Int

  init(_ tensor: Tensor) {
    memory = Tensor(unchecked: tensor.storage, layout: tensor.layout, dtype: tensor.dtype)
    version = tensor.storage.version
  }

  var meta: TensorMeta { TensorMeta(memory) }

  func unmodified() throws -> Tensor {
    guard memory.storage.version == version else {
      throw AutogradError(
        .modifiedInPlace,
        "a checkpoint overwrites a value that its gradient needs: a \(memory.dtype) tensor of shape \(memory.sizes); "
          + "clone it before the write")
    }
    return memory
  }
}
