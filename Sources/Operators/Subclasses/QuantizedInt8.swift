import GraphIR
import TensorCore

/// A weight in 8-bit integers, symmetric about zero, with one scale per channel: its values are `data · scale`.
///
/// It takes a quarter of the memory of `float32` and can stand wherever the weight did that it was made of:
///
///     let w = try Tensor(elements, shape: [outputs, inputs]).quantizedInt8(axis: 0)
///     let layer = aotFunction { (x: Tensor) in try x.linear(w).relu() }
///
/// Operators compute with the values in the scale's dtype; a compiled function takes `data` and `scale`, and makes the
/// values in a loop of its own where they are needed. Transposes are views. Nothing can be written to it, and other
/// views than transposes are refused: `dequantized()` gives an ordinary tensor.
///
/// Per-channel symmetric quantization as in Krishnamoorthi, *Quantizing deep convolutional networks for efficient
/// inference* (2018).
public struct QuantizedInt8: TensorSubclass {
  /// `int8`, in -127...127.
  public let data: Tensor
  /// Floating-point, of the same rank: the channel's dimension has its size, all others 1.
  public let scale: Tensor

  /// - Throws: `OperatorError` where the dtypes are others, or the scale does not broadcast to the data.
  public init(data: Tensor, scale: Tensor) throws {
    guard data.dtype == .int8, scale.dtype.isFloatingPoint, data.rank == scale.rank,
      zip(data.sizes, scale.sizes).allSatisfy({ $1 == $0 || $1 == 1 })
    else {
      throw OperatorError(
        .argument, nil,
        "QuantizedInt8 needs int8 data and floating-point scales that broadcast to them, got \(data.dtype) \(data.sizes) and "
          + "\(scale.dtype) \(scale.sizes)")
    }
    (self.data, self.scale) = (data, scale)
  }

  public var innerTensors: KeyValuePairs<String, Tensor> { ["data": data, "scale": scale] }
  public var outer: TensorMeta { TensorMeta(dtype: scale.dtype, layout: data.layout, device: data.device) }

  public init(innerTensors: [Tensor], metadata: NoMetadata, outer: TensorMeta) throws {
    try self.init(data: innerTensors[0], scale: innerTensors[1])
  }

  /// The values in a floating-point dtype.
  private func values(_ dtype: DType) throws -> Tensor { try data.to(dtype) * scale.to(dtype) }

  public static func dispatch(_ call: OperatorCall) throws -> Value? {
    let target = call.target
    if let quantized = call.arguments[0].reference?.unwrapped(as: Self.self) {
      if target === OperatorLibrary.dequantize { return .reference(try quantized.values(.float32)) }
      if target === OperatorLibrary.clone || keepsChannels(target) {
        return .reference(
          try Tensor(
            wrapping: quantized.mapInnerTensors { tensor in
              try target([.reference(tensor)] + call.arguments.dropFirst())
            }))
      }
      if target.schema.isView { return nil }
    }
    let written = target.schema.writtenPositions.flatMap { call.arguments[$0].references }
    guard written.allSatisfy({ $0.unwrapped(as: Self.self) == nil }) else { return nil }
    return try target.evaluate(
      call.arguments.map { argument in
        try argument.map { tensor in
          .reference(try tensor.unwrapped(as: Self.self).map { try $0.values($0.scale.dtype) } ?? tensor)
        }
      })
  }

  /// Whether a view has the same dimensions, in another order perhaps: scales still belong to data then.
  private static func keepsChannels(_ target: OperatorDefinition) -> Bool {
    [
      OperatorLibrary.t, OperatorLibrary.transpose, OperatorLibrary.permute, OperatorLibrary.detach,
      OperatorLibrary.alias,
    ].contains { $0 === target }
  }
}

extension Tensor {
  /// This weight quantized to 8-bit integers with a scale for each index of one dimension; see `QuantizedInt8`.
  ///
  /// The scale maps the largest magnitude of a channel to 127. Values are rounded to the nearest multiple of the scale,
  /// ties to even.
  ///
  /// - Parameter axis: The channels' dimension: 0 for the weight of `linear`, of shape [outputs, inputs].
  /// - Returns: A tensor of the same sizes and dtype that requires no gradient.
  /// - Throws: `OperatorError` where this tensor is not floating-point, has no such dimension, or is one of a function
  ///   that is being
  ///   captured.
  public func quantizedInt8(axis: Int) throws -> Tensor {
    guard dtype.isFloatingPoint, (-rank..<rank).contains(axis) else {
      throw OperatorError(
        .argument, nil, "quantizedInt8 needs a floating-point tensor with a dimension \(axis), got \(dtype) \(sizes)")
    }
    guard DispatchContext.current.mode == nil else {
      throw OperatorError(
        .notImplemented, nil,
        "quantizedInt8 was called while a function is captured; quantize the weight before the call")
    }
    let channel = axis < 0 ? axis + rank : axis
    return try DispatchContext.current.withGrad(false) { () throws in
      let values = try to(.float32)
      let others = (0..<rank).filter { $0 != channel }
      // No dimension at all would mean every one.
      let magnitude = others.isEmpty ? try values.abs() : try values.abs().amax(others, keepDimensions: true)
      // Of a channel of zeros, any scale will do.
      let scale = try (magnitude / 127).clampMin(Double(Float.leastNormalMagnitude))
      let data = try (values / scale).round().clamp(min: -127, max: 127).to(.int8)
      return try Tensor(wrapping: QuantizedInt8(data: data, scale: scale.to(dtype)))
    }
  }
}
