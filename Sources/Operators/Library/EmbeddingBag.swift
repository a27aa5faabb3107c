import GraphIR
import TensorCore

// Rows of a table, looked up by index and folded bag by bag.
extension OperatorLibrary {
  static let embeddingBags = [
    embeddingBag, embeddingBagPadding, embeddingBagForward, embeddingBagForwardOnly, embeddingBagBackward,
    embeddingBagDenseBackward, embeddingBagWeightsBackward,
  ]

  /// The rows of `weight` [n, d] that each bag names, summed, averaged or their maximum: [bags, d]. A bag reaches in `indices`
  /// from its offset to the next one's. An index `padding_idx` counts as not there.
  ///
  /// The other results are for the backward pass: the bag of each index, the bags' sizes, and where each maximum stood. The
  /// first is left empty where the backward pass finds it out as easily.
  public static let embeddingBagForward: OperatorDefinition = embeddingBagKernel("_embedding_bag")
    .derivative(
      of: "weight", "per_sample_weights",
      saving: ["weight", "indices", "offsets", "per_sample_weights", "result1", "result2", "result3"]
    ) { d -> [Value] in
      guard let gradient = d.gradients[0] else { return [.none, .none] }
      let bags = [d["indices"], d["offsets"]] + d.results[1...].map { .reference($0) }
      let toWeight =
        try d.isNeeded("weight")
        ? embeddingBagBackward.call(
          [.reference(gradient)] + bags + [
            .int(d.sizes("weight")[0]), d["scale_grad_by_freq"], d["mode"], d["sparse"], d["per_sample_weights"],
            d["padding_idx"],
          ]) : .none
      guard d.isNeeded("per_sample_weights"), try d.optionalTensor("per_sample_weights") != nil else {
        return [toWeight, .none]
      }
      let places = try d.call.bagsOfIndices(indicesAt: 1, offsetsAt: 2, given: d.results[1])
      let toSamples = try embeddingBagWeightsBackward(
        .reference(gradient), d["weight"], d["indices"], d["offsets"], .reference(places), d["mode"], d["padding_idx"])
      return [toWeight, .reference(toSamples)]
    }
    .auxiliary(results: 1, 2, 3)

  public static let embeddingBagForwardOnly = embeddingBagKernel("_embedding_bag_forward_only").notDifferentiable()

  public static let embeddingBag = OperatorDefinition(
    """
    embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, \
    bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False) \
    -> (Tensor, Tensor, Tensor, Tensor)
    """, .composite { try embeddingBagForward.call($0.arguments) })

  /// A negative `padding_idx` counts from the end.
  public static let embeddingBagPadding = OperatorDefinition(
    """
    embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int mode, \
    bool sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx) \
    -> (Tensor, Tensor, Tensor, Tensor)
    """,
    .composite { call in
      guard let padding = try call.optionalInt(8) else {
        return try embeddingBagForward.call(Array(call.arguments[..<8]))
      }
      let weight = try call.tensor(0)
      let count = weight.rank == 0 ? 0 : weight.shape[0]
      guard (-count..<count).contains(padding) else {
        throw OperatorError(
          .index, call.target.name, "argument 'padding_idx' must be in \(-count)..<\(count), got \(padding)")
      }
      return try embeddingBagForward.call(call.arguments[..<8] + [Value(padding < 0 ? padding + count : padding)])
    })

  private static func embeddingBagKernel(_ name: String) -> OperatorDefinition {
    OperatorDefinition(
      """
      \(name)(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, \
      bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) \
      -> (Tensor, Tensor, Tensor, Tensor)
      """, traits: .checksElements,
      .host(
        shape: { call in
          let (weight, indices) = (try call.tensor(0), try call.tensor(1))
          let count = try bagCount(call)
          let mode = try call.bagMode(4)
          let dtype: DType = try indices.dtype == .int32 && call.tensor(2).dtype == .int32 ? .int32 : .int64
          // PyTorch sums these without telling the indices' bags.
          let isPlain =
            try mode == .sum && weight.dtype != .float64 && weight.strides[1] == 1 && call.int(8) < 0
            && call.optionalTensor(6)?.strides.last ?? 1 == 1
          // Nor has it sizes of the bags it sums: as many zeros as there are offsets.
          let statisticsCount = try mode == .sum && !isPlain ? call.tensor(2).sizes[0] : count
          func meta(_ sizes: [SymInt]) -> TensorMeta { TensorMeta(dtype: dtype, sizes: sizes, device: weight.device) }
          return [
            TensorMeta(dtype: weight.dtype, sizes: [count, weight.sizes[1]], device: weight.device),
            meta([isPlain ? 0 : indices.layout.elementCount]), meta([statisticsCount]),
            meta(mode == .max ? [count, weight.sizes[1]] : [statisticsCount]),
          ]
        },
        body: { call, results in try EmbeddingBags(call).write(to: results) }))
  }

  /// The number of bags.
  ///
  /// - Throws: `OperatorError` where the arguments do not fit together.
  private static func bagCount(_ call: OperatorCall) throws -> SymInt {
    let (weight, indices, offsets) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
    guard weight.rank == 2, weight.dtype.isFloatingPoint else {
      throw OperatorError(
        .shape, call.target.name, "'weight' must be floating-point [n, d], got \(weight.dtype) \(weight.sizes)")
    }
    guard (1...2).contains(indices.rank), offsets.rank == 1 else {
      throw OperatorError(
        .shape, call.target.name,
        "needs 'indices' of 1 or 2 dimensions and 'offsets' of 1, got sizes \(indices.sizes) and \(offsets.sizes)")
    }
    for position in [1, 2] { try call.checkIndex(position, allows: [.int64, .int32]) }
    let mode = try call.bagMode(4)
    if let samples = try call.optionalTensor(6) {
      guard mode == .sum, samples.dtype == weight.dtype, samples.rank == 1,
        samples.sizes[0] == indices.layout.elementCount
      else {
        throw OperatorError(
          .argument, call.target.name,
          "'per_sample_weights' go with mode 0 (sum), have the type \(weight.dtype) of 'weight' and one number per index, got \(samples.dtype) \(samples.sizes) in mode \(mode.rawValue)"
        )
      }
    }
    guard try call.bool(7) else { return offsets.sizes[0] }
    guard offsets.sizes[0] > 0 else {
      throw OperatorError(.shape, call.target.name, "'offsets' must hold the last one, got none")
    }
    return offsets.sizes[0] - 1
  }
}

/// How the rows of a bag are folded.
enum BagMode: Int { case sum, mean, max }

extension Call {
  func bagMode(_ position: Int) throws -> BagMode {
    guard let mode = BagMode(rawValue: try int(position)) else {
      throw mismatch(position, "0 (sum), 1 (mean) or 2 (max)")
    }
    return mode
  }
}

/// A call that folds rows bag by bag, its indices read and checked.
private struct EmbeddingBags {
  private let call: OperatorCall
  private let mode: BagMode
  private let indices: [Int]
  /// Where each bag starts, and where the last one ends.
  private let bounds: [Int]

  init(_ call: OperatorCall) throws {
    self.call = call
    mode = try call.bagMode(4)
    indices = try call.tensor(1).integers()
    let offsets = try call.tensor(2).integers()
    let starts = try call.bool(7) ? offsets.dropLast() : offsets[...]
    // An index is in the last bag that starts before it: where offsets do not ascend, their order does not matter.
    bounds = starts.sorted() + [indices.count]
    guard offsets.first ?? 0 == 0, offsets.allSatisfy({ (0...indices.count).contains($0) }) else {
      throw OperatorError(
        .index, call.target.name,
        "'offsets' must start at 0 and be in 0...\(indices.count), the number of indices, got \(offsets)")
    }
    let rowCount = try call.tensor(0).shape[0]
    if let wrong = indices.first(where: { !(0..<rowCount).contains($0) }) {
      throw OperatorError(.index, call.target.name, "index \(wrong) is out of range for \(rowCount) rows")
    }
  }

  func write(to results: [Tensor]) throws {
    switch results[0].dtype {
    case .float16: try write(Half.self, results, { Double(Float($0)) }, { Half(Float($0)) })
    case .bfloat16: try write(BFloat16.self, results, { Double(Float($0)) }, { BFloat16(Float($0)) })
    case .float32: try write(Float.self, results, { Double($0) }, { Float($0) })
    default: try write(Double.self, results, { $0 }, { $0 })
    }
  }

  private func write<Element: TensorElement>(
    _ type: Element.Type, _ results: [Tensor], _ widened: (Element) -> Double, _ rounded: (Double) -> Element
  ) throws {
    let weight = try call.tensor(0)
    let samples = try call.optionalTensor(6)?.elements(as: Element.self).map(widened)
    let padding = try call.int(8)
    let width = weight.shape[1]
    let (rowStride, stride) = (weight.strides[0].value, weight.strides[1].value)
    let table = weight.dataAddress?.assumingMemoryBound(to: Element.self)
    let output = results[0].dataAddress?.assumingMemoryBound(to: Element.self)
    var (bagOfIndex, counts, winners) = ([Int](), [Int](), [Int]())
    for bag in 0..<bounds.count - 1 {
      let places = bounds[bag]..<bounds[bag + 1]
      bagOfIndex += repeatElement(bag, count: places.count)
      var folded = [Double](repeating: 0, count: width)
      var winner = [Int](repeating: 0, count: width)
      var count = 0
      for place in places where indices[place] != padding {
        let row = indices[place]
        let scale = samples?[place] ?? 1
        for feature in 0..<width {
          guard let value = table.map({ widened($0[row * rowStride + feature * stride]) }) else { continue }
          if mode != .max {
            folded[feature] += value * scale
          } else if count == 0 || value > folded[feature] {
            (folded[feature], winner[feature]) = (value, row)
          }
        }
        count += 1
      }
      let divisor = mode == .mean ? Double(Swift.max(count, 1)) : 1
      for feature in 0..<width { output?[bag * width + feature] = rounded(folded[feature] / divisor) }
      counts.append(count)
      winners += winner
    }
    // A sum needs no sizes, and PyTorch gives none.
    let sizes = mode == .sum ? Array(repeating: 0, count: results[2].shape[0]) : counts
    if !results[1].layout.isEmpty { results[1].write(bagOfIndex) }
    results[2].write(sizes)
    results[3].write(mode == .max ? winners : sizes)
  }
}

extension Tensor {
  /// The elements of a tensor of int32 or int64.
  fileprivate func integers() throws -> [Int] {
    dtype == .int32 ? try elements(as: Int32.self).map { Int($0) } : try elements()
  }

  /// Writes integers to dense memory of int32 or int64.
  fileprivate func write(_ values: [Int]) {
    for (place, value) in values.enumerated() {
      if dtype == .int32 {
        dataAddress?.assumingMemoryBound(to: Int32.self)[place] = Int32(truncatingIfNeeded: value)
      } else {
        dataAddress?.assumingMemoryBound(to: Int.self)[place] = value
      }
    }
  }

  /// The rows of this table that each bag of indices names, folded: [n, d] → [bags, d].
  public func embeddingBag(
    _ indices: Tensor, offsets: Tensor, mode: String = "mean", perSampleWeights: Tensor? = nil
  ) throws -> Tensor {
    guard let number = ["sum", "mean", "max"].firstIndex(of: mode) else {
      throw OperatorError(
        .argument, OperatorLibrary.embeddingBag.name, "argument 'mode' must be sum, mean or max, got \(mode)")
    }
    return try OperatorLibrary.embeddingBag.firstResult([
      .reference(self), .reference(indices), .reference(offsets), .bool(false), Value(number), .bool(false),
      perSampleWeights.map { .reference($0) } ?? .none,
    ])
  }
}
