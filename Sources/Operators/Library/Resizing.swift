import GraphIR
import TensorCore

extension OperatorLibrary {
  static let resizing = [resize, setSource, grow]

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
      return .reference(try resized(input, to: layout, by: call.target.name))
    })

  /// The tensor with another layout over its storage, which grows where that reaches beyond it.
  ///
  /// - Throws: `OperatorError` with code `notImplemented` where the storage of a wrapper subclass's tensor, or in a captured
  ///   function that of a tensor which does not fill it from the start, would have to grow.
  static func resized(_ input: Tensor, to layout: Layout, by name: OperatorName) throws -> Tensor {
    let byteCount = try layout.requiredByteCount(input.dtype)
    if byteCount > input.storage.byteCount {
      guard input.wrapperMeta == nil else {
        throw OperatorError(
          .notImplemented, name, "cannot make the storage of a wrapper subclass's tensor grow")
      }
      if input.isFake { return try grown(input, to: layout, by: name) }
      try input.storage.grow(to: byteCount)
    }
    return try asStrided.inPlace(
      .reference(input), Value(layout.sizes), Value(layout.strides), .int(layout.offset))
  }

  /// As in a captured function, where a storage has no memory to grow: what it is to hold is computed.
  private static func grown(_ input: Tensor, to layout: Layout, by name: OperatorName) throws -> Tensor {
    let fills =
      try input.isContiguous
      && Layout(contiguous: input.sizes).requiredByteCount(input.dtype) == input.storage.byteCount
    guard fills, input.layout.offset == 0 else {
      throw OperatorError(
        .notImplemented, name,
        "cannot make the storage of a tensor that is only a part of it grow while a function is captured")
    }
    let elements = try input.clone(memoryFormat: .contiguous).reshape([input.elementCount])
    let padding: [Value] = [.int(0), .int(SymInt(layout.elementRange.upperBound - input.elementCount))]
    let padded = try constantPad(.reference(elements), .list(padding))
    return try grow(
      .reference(input),
      .reference(asStrided(.reference(padded), Value(layout.sizes), Value(layout.strides), .int(0))))
  }
}

extension OperatorLibrary {
  /// Gives `self` the storage and layout of `source`; it has no gradient.
  public static let setSource = OperatorDefinition(
    "set_.source_Tensor(Tensor(a!) self, Tensor source) -> Tensor(a!)", .setStorage)

  /// Makes the storage of `self` hold what that of `source` does, and gives it the layout of `source`: `resize_` as a captured
  /// function has it.
  public static let grow = OperatorDefinition("aot::grow_(Tensor(a!) self, Tensor source) -> Tensor(a!)", .setStorage)
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

  /// Gives this tensor the sizes and strides of another one over the elements of its storage, which grows where they do not
  /// suffice.
  @discardableResult
  package func resize_(like other: Tensor) throws -> Tensor {
    let layout = Layout(sizes: other.sizes, strides: other.strides, offset: self.layout.offset)
    return try OperatorLibrary.resized(self, to: layout, by: OperatorLibrary.resize.name)
  }
}
