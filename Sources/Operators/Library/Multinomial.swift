import Foundation
import GraphIR
import TensorCore

extension OperatorLibrary {
  static let multinomials = [multinomial]

  /// Indices drawn with probabilities in proportion to the weights [n] or [rows, n]: [num_samples] or [rows, num_samples].
  ///
  /// With replacement each sample is one uniform number among the weights' running sums. Without, as many numbers are drawn as
  /// there are weights, exponential with the weight as rate, and the indices of the smallest are the samples.
  public static let multinomial = OperatorDefinition(
    "multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
    traits: [.random, .checksElements],
    .host(
      shape: { call in
        let weights = try call.tensor(0)
        let count = try call.int(1)
        guard weights.dtype.isFloatingPoint, (1...2).contains(weights.rank) else {
          throw OperatorError(
            .shape, call.target.name,
            "needs floating-point weights [n] or [rows, n], got \(weights.dtype) \(weights.sizes)")
        }
        let available = weights.shape[weights.rank - 1]
        guard count > 0, try call.bool(2) ? available > 0 : count <= available else {
          throw OperatorError(
            .argument, call.target.name, "cannot draw \(count) samples of \(available) weights")
        }
        return [
          TensorMeta(
            dtype: .int64, sizes: weights.sizes.dropLast() + [SymInt(count)], device: weights.device)
        ]
      },
      body: { call, results in
        let weights = try call.tensor(0).widenedElements()
        let (count, rowSize) = (try call.int(1), try call.tensor(0).shape.last ?? 0)
        let rows = stride(from: 0, to: weights.count, by: Swift.max(rowSize, 1)).map { weights[$0..<$0 + rowSize] }
        for row in rows {
          let total = row.reduce(0, +)
          guard total > 0, total.isFinite, row.allSatisfy({ $0 >= 0 }) else {
            throw OperatorError(
              .elements, call.target.name, "weights must not be negative, infinite or NaN, nor all 0 in a row")
          }
        }
        let replaces = try call.bool(2)
        guard let output = results[0].dataAddress?.assumingMemoryBound(to: Int.self) else { return }
        let drawn = RandomDraw.uniforms(rows.count * (replaces ? count : rowSize))
        for (number, row) in rows.enumerated() {
          let samples =
            replaces
            ? drawn[number * count..<(number + 1) * count].map { row.place(of: $0) }
            : row.smallest(count, uniforms: drawn[number * rowSize..<(number + 1) * rowSize])
          for (place, sample) in samples.enumerated() { output[number * count + place] = sample }
        }
      })
  )
  .drawing(isCheap: false) { call in
    let weights = try call.tensor(0)
    return try call.bool(2) ? weights.elementCount / (weights.shape.last ?? 1) * call.int(1) : weights.elementCount
  }
  .notDifferentiable()
}

extension ArraySlice<Double> {
  /// Which weight a number in 0..<1 falls on, where each takes its share of the range.
  fileprivate func place(of number: Double) -> Int {
    let target = number * reduce(0, +)
    var sum = 0.0
    for (place, weight) in enumerated() {
      sum += weight
      if target < sum { return place }
    }
    return lastIndex { $0 > 0 }.map { $0 - startIndex } ?? 0
  }

  /// The places of the smallest exponential numbers, made of uniform ones, with the weights as rates.
  fileprivate func smallest(_ count: Int, uniforms: ArraySlice<Double>) -> [Int] {
    let times = zip(self, uniforms).map { weight, uniform in weight == 0 ? .infinity : -log1p(-uniform) / weight }
    return times.indices.sorted { times[$0] != times[$1] ? times[$0] < times[$1] : $0 < $1 }.prefix(count).map(\.self)
  }
}

extension Tensor {
  /// The elements of a floating-point tensor in row-major order.
  fileprivate func widenedElements() throws -> [Double] {
    switch dtype {
    case .float16: try elements(as: Half.self).map { Double(Float($0)) }
    case .bfloat16: try elements(as: BFloat16.self).map { Double(Float($0)) }
    case .float32: try elements(as: Float.self).map { Double($0) }
    default: try elements()
    }
  }

  /// Indices drawn with probabilities in proportion to these weights.
  public func multinomial(
    _ sampleCount: Int, replacement: Bool = false, generator: Generator? = nil
  ) throws -> Tensor {
    try Self.drawing(generator) {
      try OperatorLibrary.multinomial(.reference(self), Value(sampleCount), .bool(replacement))
    }
  }
}
