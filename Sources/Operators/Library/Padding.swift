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
        let sizes = zip(input.sizes, padding).map { $0 + SymInt($1.before + $1.after) }
        guard !sizes.contains(where: { $0 < 0 }) else {
          throw OperatorError(
            .shape, call.target.name, "padding \(try call.ints(1)) crops more than the sizes \(input.sizes) have")
        }
        return [TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device)]
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

  /// Padding of a mode; `constant` is the one there is.
  public static let pad = OperatorDefinition(
    "pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor",
    .composite { call in
      let mode = try call.string(2)
      guard mode == "constant" else {
        throw OperatorError(.notImplemented, call.target.name, "mode '\(mode)' is not supported; 'constant' is")
      }
      return .reference(
        try constantPad(call.arguments[0], call.arguments[1], Value(call.optionalScalar(3) ?? .int(0))))
    })
}

extension Call {
  /// What argument 1 adds before and after each dimension, from the first on.
  fileprivate func paddingPairs(rank: Int) throws -> [(before: Int, after: Int)] {
    let values = try ints(1)
    guard values.count % 2 == 0, values.count <= 2 * rank else {
      throw OperatorError(
        .argument, target.name, "'pad' must hold a pair for at most each of \(rank) dimensions, got \(values)")
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
