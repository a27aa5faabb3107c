import GraphIR
import Operators
import TensorCore

/// What becomes of tensors that are saved for the backward pass: `pack` turns each into what is kept, `unpack` turns that back.
///
///     let halves = SavedTensorHooks { [try $0.to(.bfloat16)] } unpack: { try $0[0].to(.float32) }
///     let loss = try halves.use { try model(x) }
///
/// Both run without recording. In a compiled function they become part of its graphs: `pack` the end of the forward one,
/// `unpack` the beginning of the backward one; they must then be made of tensor operations.
public final class SavedTensorHooks: SavedTensorPacker, @unchecked Sendable {
  // Sendable: both closures are constant; they run on the threads that call them.
  private let packing: (Tensor) throws -> [Tensor]
  private let unpacking: ([Tensor]) throws -> Tensor

  /// - Parameters:
  ///   - pack: What to keep of a tensor that is saved; the tensor itself where nothing is to be done.
  ///   - unpack: The tensor that was saved, in its size and type, from what was kept.
  public init(pack: @escaping (Tensor) throws -> [Tensor], unpack: @escaping ([Tensor]) throws -> Tensor) {
    packing = pack
    unpacking = unpack
  }

  /// The hooks in use on this thread; nil where tensors are saved as they are.
  public static var inUse: SavedTensorHooks? { DispatchContext.current.savedTensorPacker as? SavedTensorHooks }

  /// Runs `body` with what is saved in it on this thread going through these hooks.
  public func use<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    try Self.with(self, body)
  }

  /// Runs `body` with other hooks, or none.
  package static func with<Result, Failure: Error>(
    _ hooks: SavedTensorHooks?, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let context = DispatchContext.current
    let saved = context.savedTensorPacker
    context.savedTensorPacker = hooks
    defer { context.savedTensorPacker = saved }
    return try body()
  }

  package func pack(_ tensor: Tensor) throws -> (() throws -> Tensor)? {
    let kept = try packed(tensor)
    let meta = TensorMeta(tensor)
    return { [self] in try unpacked(kept, as: meta) }
  }

  /// What is kept of a tensor.
  package func packed(_ tensor: Tensor) throws -> [Tensor] {
    try noGrad { try Self.with(nil) { try packing(tensor) } }
  }

  /// The tensor that was saved.
  ///
  /// - Throws: `AutogradError` with code `invalidGradient` where it is not of the saved one's size and type.
  package func unpacked(_ kept: [Tensor], as meta: TensorMeta) throws -> Tensor {
    let tensor = try noGrad { try Self.with(nil) { try unpacking(kept) } }
    guard tensor.sizes == meta.sizes, tensor.dtype == meta.dtype else {
      throw AutogradError(
        .invalidGradient,
        "a hook packed a saved \(meta.dtype) tensor of shape \(meta.sizes) and unpacked a \(tensor.dtype) one of shape "
          + "\(tensor.sizes)")
    }
    return tensor
  }
}
