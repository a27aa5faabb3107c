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
        // What is cropped alone is a copy of a part; what is padded keeps the memory format.
        if padding.allSatisfy({ $0.before <= 0 && $0.after <= 0 }) {
          let part = Layout(sizes: sizes, strides: input.strides)
          return [TensorMeta(dtype: input.dtype, layout: part.copied(), device: input.device)]
        }
        return [TensorMeta(sizes, like: input)]
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
      switch mode {
      case "constant": return .reference(try constantPad(call.arguments[0], call.arguments[1], Value(value ?? .int(0))))
      case "reflect", "replicate", "circular": break
      default:
        throw OperatorError(
          .argument, call.target.name, "mode must be 'constant', 'reflect', 'replicate' or 'circular', got '\(mode)'")
      }
      guard value == nil || value?.doubleValue == 0 else {
        throw OperatorError(.argument, call.target.name, "mode '\(mode)' takes no value")
      }
      let (count, rank) = (try call.ints(1).count, try call.ints(1).count / 2)
      guard count % 2 == 0, 1...3 ~= rank, [rank + 1, rank + 2].contains(input.rank) else {
        throw OperatorError(
          .argument, call.target.name,
          "'pad' must hold a pair for each of 1 to 3 dimensions after one or two others, got \(count) numbers for \(input.rank) dimensions"
        )
      }
      if mode == "circular" { return .reference(try wrapped(input, call)) }
      let pads = mode == "reflect" ? reflectionPads : replicationPads
      return .reference(try pads[rank - 1](call.arguments[0], call.arguments[1]))
    })

  /// Each dimension cropped where padding is negative, then continued by what remains of it.
  private static func wrapped(_ input: Tensor, _ call: OperatorCall) throws -> Tensor {
    var result = input
    for (dimension, pair) in try call.paddingPairs(rank: input.rank).enumerated() where pair != (0, 0) {
      let length = input.shape[dimension] + Swift.min(pair.before, 0) + Swift.min(pair.after, 0)
      guard length >= 0, pair.before <= length, pair.after <= length else {
        throw OperatorError(
          .shape, call.target.name,
          "cannot wrap dimension \(dimension) of size \(input.shape[dimension]) around by \(pair): it would be empty, or be passed more than once"
        )
      }
      let middle = try result.narrow(dimension, from: Swift.max(-pair.before, 0), length: length)
      var parts = [middle]
      if pair.before > 0 {
        parts.insert(try middle.narrow(dimension, from: length - pair.before, length: pair.before), at: 0)
      }
      if pair.after > 0 { parts.append(try middle.narrow(dimension, from: 0, length: pair.after)) }
      result = try Tensor.cat(parts, dimension: dimension)
    }
    return result
  }
}

extension Call {
  /// What an argument adds before and after each dimension, from the first on.
  func paddingPairs(at position: Int = 1, rank: Int) throws -> [(before: Int, after: Int)] {
    let values = try ints(position)
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
