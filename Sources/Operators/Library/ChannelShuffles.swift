import GraphIR
import LoopIR
import TensorCore

// Elements moved between channels and space, or among channels.
extension OperatorLibrary {
  static let channelShuffles = [pixelShuffle, pixelUnshuffle, channelShuffle]

  /// [… c · r², h, w] → [… c, h · r, w · r]: r² channels become the pixels of a square.
  public static let pixelShuffle: OperatorDefinition = OperatorDefinition(
    "pixel_shuffle(Tensor self, int upscale_factor) -> Tensor",
    .kernel(
      shape: { call in
        let (input, factor) = (try call.tensor(0), SymInt(try call.shuffleFactor()))
        let (leading, image) = (input.sizes.dropLast(3), Array(input.sizes.suffix(3)))
        guard image[0].value % (factor * factor).value == 0 else {
          throw OperatorError(
            .shape, call.target.name, "\(image[0]) channels are not a multiple of \(factor) · \(factor)")
        }
        let shuffled = [image[0] / (factor * factor), image[1] * factor, image[2] * factor]
        return [TensorMeta(leading + shuffled, like: input)]
      },
      lowering: { call, results, builder in
        let factor = try call.int(1)
        builder.copy(
          try call.reference(0).channelsSplit(by: factor), to: results[0].spaceSplit(by: factor))
      })
  )
  .derivative { d in try pixelUnshuffle(.reference(d.gradient), d["upscale_factor"]) }

  /// [… c, h · r, w · r] → [… c · r², h, w]: the inverse of `pixelShuffle`.
  public static let pixelUnshuffle: OperatorDefinition = OperatorDefinition(
    "pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor",
    .kernel(
      shape: { call in
        let (input, factor) = (try call.tensor(0), SymInt(try call.shuffleFactor()))
        let (leading, image) = (input.sizes.dropLast(3), Array(input.sizes.suffix(3)))
        guard image[1...].allSatisfy({ $0.value % factor.value == 0 }) else {
          throw OperatorError(.shape, call.target.name, "a plane of \(image[1...]) is not made of squares of \(factor)")
        }
        return [TensorMeta(leading + [image[0] * factor * factor, image[1] / factor, image[2] / factor], like: input)]
      },
      lowering: { call, results, builder in
        let factor = try call.int(1)
        builder.copy(
          try call.reference(0).spaceSplit(by: factor), to: results[0].channelsSplit(by: factor))
      })
  )
  .derivative { d in try pixelShuffle(.reference(d.gradient), d["downscale_factor"]) }

  /// The channels [groups · c] in the order of [c · groups].
  public static let channelShuffle: OperatorDefinition = OperatorDefinition(
    "channel_shuffle(Tensor self, SymInt groups) -> Tensor",
    .kernel(
      shape: { call in
        let (input, groups) = (try call.tensor(0), try call.int(1))
        guard input.rank > 2, groups > 0, input.shape[1] % groups == 0 else {
          throw OperatorError(
            .shape, call.target.name,
            "needs more than 2 dimensions and channels in positive groups of one size, got sizes \(input.sizes) and \(groups) groups"
          )
        }
        return [TensorMeta(input.sizes, like: input)]
      },
      lowering: { call, results, builder in
        let (input, groups) = (try call.reference(0), try call.int(1))
        let channels = input.sizes[1] / groups
        builder.copy(
          input.splitting(1, into: [groups, channels]),
          to: results[0].splitting(1, into: [channels, groups]).swapping(1, 2))
      })
  )
  .derivative { d in
    // Undone by as many groups as there were channels in each.
    let (channels, groups) = (try d.sizes("self")[1].value, try d.call.int(1))
    return try channelShuffle(.reference(d.gradient), Value(Swift.max(channels / groups, 1)))
  }
}

extension Call where Reference == Tensor {
  /// Argument 1, the length of a square's edge.
  fileprivate func shuffleFactor() throws -> Int {
    let (input, factor) = (try tensor(0), try int(1))
    guard input.rank >= 3 else {
      throw OperatorError(.shape, target.name, "'self' must have at least 3 dimensions, got sizes \(input.sizes)")
    }
    // No tensor has more channels than the square of this.
    guard 1...Int(Int32.max) ~= factor else { throw mismatch(1, "a positive integer below 2 to the 31st") }
    return factor
  }
}

extension Operand {
  /// A dimension as several.
  func splitting(_ dimension: Int, into parts: [Int]) -> Operand {
    var result = self
    result.sizes.replaceSubrange(dimension...dimension, with: parts)
    let steps = parts.indices.map { parts[($0 + 1)...].reduce(1, *) * strides[dimension] }
    result.strides.replaceSubrange(dimension...dimension, with: steps)
    return result
  }

  func swapping(_ first: Int, _ second: Int) -> Operand {
    var order = Array(sizes.indices)
    order.swapAt(first, second)
    return permuted(order)
  }

  /// [… c · r², h, w] as [… c, r, r, h, w]
  fileprivate func channelsSplit(by factor: Int) -> Operand {
    let place = sizes.count - 3
    return splitting(place, into: [sizes[place] / (factor * factor), factor, factor])
  }

  /// [… c, h · r, w · r] as [… c, r, r, h, w]
  fileprivate func spaceSplit(by factor: Int) -> Operand {
    let place = sizes.count - 2
    let split = splitting(place + 1, into: [sizes[place + 1] / factor, factor])
      .splitting(place, into: [sizes[place] / factor, factor])
    return split.permuted(Array(0..<place) + [place + 1, place + 3, place, place + 2])
  }
}

extension Tensor {
  /// [… c · r², h, w] → [… c, h · r, w · r]
  public func pixelShuffle(_ upscaleFactor: Int) throws -> Tensor {
    try OperatorLibrary.pixelShuffle(.reference(self), Value(upscaleFactor))
  }

  /// [… c, h · r, w · r] → [… c · r², h, w]
  public func pixelUnshuffle(_ downscaleFactor: Int) throws -> Tensor {
    try OperatorLibrary.pixelUnshuffle(.reference(self), Value(downscaleFactor))
  }
}
