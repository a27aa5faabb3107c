import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let scans = [cumsum, cumprod]

  /// Sums of the elements up to each, along a dimension. Integers and bool accumulate and give int64.
  public static let cumsum = scan("cumsum") { $0 + $1 } integers: { $0 &+ $1 }
    .derivative { d in
      let rank = d.gradient.rank
      guard rank > 0 else { return d.gradient }
      let dimension = try d.call.dimension(1, rank: rank)
      return try d.gradient.flip([dimension]).cumsum(dimension).flip([dimension])
    }
    .inPlaceVariant()

  /// Products of the elements up to each, along a dimension.
  public static let cumprod = scan("cumprod") { $0 * $1 } integers: { $0 &* $1 }
    .inPlaceVariant()

  private static func scan(
    _ name: String, _ combine: @escaping @Sendable (Double, Double) -> Double,
    integers: @escaping @Sendable (Int, Int) -> Int
  ) -> OperatorDefinition {
    OperatorDefinition(
      "\(name)(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          _ = try call.dimension(1, rank: input.rank)
          let dtype = try call.optionalDType(2) ?? (input.dtype.isFloatingPoint ? input.dtype : .int64)
          return [TensorMeta(dtype: dtype, layout: input.layout.copied(format: .preserve), device: input.device)]
        },
        lowering: { call, results, builder in
          let (input, output) = (try call.reference(0), results[0])
          let dimension = try call.dimension(1, rank: input.sizes.count)
          // Every line is walked in the type that the result accumulates in.
          let dtype: DType = output.dtype.isFloatingPoint ? .float64 : .int64
          let temporary = builder.temporary(dtype, input.sizes)
          builder.copy(input, to: temporary)
          let lines = ScanLines(sizes: input.sizes, dimension: dimension)
          builder.append(
            .host(
              HostKernel(name: name, inputs: [temporary], outputs: [temporary]) { _, outputs in
                if dtype == .int64 {
                  lines.run(outputs[0].assumingMemoryBound(to: Int.self), integers)
                } else {
                  lines.run(outputs[0].assumingMemoryBound(to: Double.self), combine)
                }
              }))
          builder.copy(temporary, to: output)
        }))
  }
}

/// The lines of a dense tensor along one dimension.
private struct ScanLines: Sendable {
  private let outerCount: Int
  private let length: Int
  private let innerCount: Int

  init(sizes: [Int], dimension: Int) {
    outerCount = sizes.prefix(dimension).reduce(1, *)
    length = sizes.isEmpty ? 1 : sizes[dimension]
    innerCount = sizes.dropFirst(dimension + 1).reduce(1, *)
  }

  func run<Element>(_ elements: UnsafeMutablePointer<Element>, _ combine: (Element, Element) -> Element) {
    for outer in 0..<outerCount {
      let start = outer * length * innerCount
      for place in stride(from: start + innerCount, to: start + length * innerCount, by: 1) {
        elements[place] = combine(elements[place - innerCount], elements[place])
      }
    }
  }
}

extension Tensor {
  /// Sums of the elements up to each, along a dimension.
  public func cumsum(_ dimension: Int, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.cumsum(.reference(self), Value(dimension), Value(dtype))
  }

  /// Products of the elements up to each, along a dimension.
  public func cumprod(_ dimension: Int, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.cumprod(.reference(self), Value(dimension), Value(dtype))
  }
}
