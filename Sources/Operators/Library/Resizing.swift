import GraphIR
import TensorCore

extension OperatorLibrary {
  static let resizing = [resize, setSource]

  /// Gives `self` other sizes over the elements that its storage has from its offset on, dense in row-major order or a memory
  /// format. Where they do not suffice the storage grows; what is new there is not defined.
  public static let resize = OperatorDefinition(
    "resize_(Tensor(a!) self, SymInt[] size, *, MemoryFormat? memory_format=None) -> Tensor(a!)",
    .composite { call in
      let input = try call.tensor(0)
      let format = try call.optionalMemoryFormat(2) ?? .contiguous
      var layout = Layout(contiguous: try call.symInts(1))
      guard format != .preserve, format.rank == nil || format.rank == layout.rank else {
        throw call.mismatch(2, "a memory format for \(layout.rank) dimensions")
      }
      guard input.recordingAutograd == nil else {
        throw OperatorError(.argument, call.target.name, "cannot resize a tensor that requires a gradient; detach it")
      }
      // Sizes that it has already leave its strides alone.
      if layout.sizes == input.sizes, call.arguments[2].isNone { return call.arguments[0] }
      layout = layout.copied(format: format)
      layout.offset = input.layout.offset
      let byteCount = try layout.requiredByteCount(input.dtype)
      if byteCount > input.storage.byteCount {
        guard input.wrapperMeta == nil else {
          throw OperatorError(
            .notImplemented, call.target.name, "cannot make the storage of a wrapper subclass's tensor grow")
        }
        guard !input.isFake else {
          throw OperatorError(
            .notImplemented, call.target.name, "cannot make a storage grow while a function is captured")
        }
        try input.storage.grow(to: byteCount)
      }
      return .reference(
        try asStrided.inPlace(
          .reference(input), Value(layout.sizes), Value(layout.strides), .int(layout.offset)))
    })
}

extension OperatorLibrary {
  /// Gives `self` the storage and layout of `source`; it has no gradient.
  public static let setSource = OperatorDefinition(
    "set_.source_Tensor(Tensor(a!) self, Tensor source) -> Tensor(a!)", .setStorage)
}

extension Tensor {
  /// Makes this tensor one over the memory of another of the same type, with that one's sizes and strides.
  ///
  /// - Throws: `OperatorError` with code `dtype` where the types differ.
  @discardableResult
  public func set_(_ source: Tensor) throws -> Tensor {
    try OperatorLibrary.setSource(.reference(self), .reference(source))
  }

  /// Gives this tensor other sizes over the elements of its storage, which grows where they do not suffice.
  @discardableResult
  public func resize_(_ sizes: [Int]) throws -> Tensor {
    try OperatorLibrary.resize(.reference(self), Value(sizes))
  }
}
