import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let padding = [constantPad, pad]

  /// A number added around dimensions: `pad` holds pairs (before, after) from the last dimension on; negative ones crop.
  public static let constantPad: OperatorDefinition = OperatorDefinition(
    "constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor",
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let padding = try call.paddingPairs(rank: input.rank)
        guard padding.allSatisfy({ !$0.before.addingReportingOverflow($0.after).overflow }) else {
          throw OperatorError(.shape, call.target.name, "padding \(try call.ints(1)) is more than any memory holds")
        }
        let sizes = zip(input.sizes, padding).map { $0 + SymInt($1.before + $1.after) }
        guard !sizes.contains(where: { $0 < 0 }) else {
          throw OperatorError(
            .shape, call.target.name, "padding \(try call.ints(1)) crops more than the sizes \(input.sizes) have")
        }
        _ = try call.scalar(2, fitting: input.dtype)
        // What is cropped alone is a copy of a part; what is padded has the order of dimensions that the strides suggest.
        let crops = padding.allSatisfy { $0.before <= 0 && $0.after <= 0 }
        let layout =
          crops
          ? Layout(sizes: sizes, strides: input.strides).copied()
          : Layout(contiguous: sizes).copied(format: input.layout.suggestedFormat)
        return [TensorMeta(dtype: input.dtype, layout: layout, device: input.device)]
      },
      lowering: { call, results, builder in
        var (source, target) = (try call.reference(0), results[0])
        let value = try call.scalar(2).converted(to: target.dtype)
        for (dimension, pair) in try call.paddingPairs(rank: source.sizes.count).enumerated() {
          let cropped = Swift.max(-pair.before, 0)
          let length = Swift.max(source.sizes[dimension] - cropped - Swift.max(-pair.after, 0), 0)
          source = source.narrowed(dimension, from: cropped, length: length)
          target = target.narrowed(dimension, from: Swift.max(pair.before, 0), length: length)
        }
        if target.sizes != results[0].sizes { builder.fill(results[0], value) }
        builder.copy(source, to: target)
      })
  )
  .derivative { d in
    try constantPad(.reference(d.gradient), Value(d.call.symInts(1).map { -$0 }), .int(0))
  }

  /// Padding of a mode: `constant` (a number), `reflect` (the elements mirrored at the ends), `replicate` (the elements at
  /// the ends) or `circular` (the elements of the other end).
  public static let pad = OperatorDefinition(
    "pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor",
    .composite { call in
      let (input, mode) = (try call.tensor(0), try call.string(2))
      let value = try call.optionalScalar(3)
      if mode == "constant" {
        return .reference(try constantPad(call.arguments[0], call.arguments[1], Value(value ?? .int(0))))
      }
      guard value == nil || value?.doubleValue == 0 else {
        throw OperatorError(.argument, call.target.name, "mode '\(mode)' takes no value")
      }
      var result = input
      for (dimension, pair) in try call.paddingPairs(rank: input.rank).enumerated() where pair != (0, 0) {
        let size = input.shape[dimension]
        let limit = mode == "reflect" ? size - 1 : mode == "circular" ? size : .max
        guard size > 0, pair.before <= limit, pair.after <= limit, size + pair.before + pair.after > 0 else {
          throw OperatorError(
            .shape, call.target.name, "cannot pad dimension \(dimension) of size \(size) by \(pair) in mode '\(mode)'")
        }
        let places = try Tensor.arange(-pair.before, size + pair.after)
        result = try result.indexSelect(dimension, places.placed(within: size, mode, call))
      }
      return .reference(result)
    })
}

extension Tensor {
  /// These places along a dimension of a size, those outside brought inside as the mode of padding says.
  fileprivate func placed(within size: Int, _ mode: String, _ call: OperatorCall) throws -> Tensor {
    switch mode {
    case "replicate": return try clamp(min: 0, max: .int(size - 1))
    case "circular": return try remainder(size)
    case "reflect":
      // Mirrored at the start, then at the end.
      return try -((size - 1) - abs()).abs() + (size - 1)
    default:
      throw OperatorError(
        .argument, call.target.name, "mode must be 'constant', 'reflect', 'replicate' or 'circular', got '\(mode)'")
    }
  }
}

extension Call {
  /// What argument 1 adds before and after each dimension, from the first on.
  fileprivate func paddingPairs(rank: Int) throws -> [(before: Int, after: Int)] {
    let values = try ints(1)
    guard values.count % 2 == 0, values.count <= 2 * rank else {
      throw OperatorError(
        .argument, target.name, "'pad' must hold a pair for at most each of \(rank) dimensions, got \(values)")
    }
    guard values.allSatisfy({ $0.magnitude <= Int.max / 4 }) else {
      throw OperatorError(.argument, target.name, "no memory could hold a padding of \(values)")
    }
    return (0..<rank).map { dimension in
      let place = 2 * (rank - 1 - dimension)
      return place < values.count ? (values[place], values[place + 1]) : (0, 0)
    }
  }
}

extension Tensor {
  /// A number added around dimensions: pairs (before, after) from the last dimension on; negative ones crop.
  public func pad(_ padding: [Int], value: Scalar = 0) throws -> Tensor {
    try OperatorLibrary.constantPad(.reference(self), Value(padding), Value(value))
  }
}
