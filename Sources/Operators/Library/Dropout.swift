import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let dropouts = [nativeDropout, nativeDropoutBackward, dropout]

  /// In training, elements with probability p set to 0 and the rest scaled by 1 / (1 - p). The second result is the mask of
  /// those kept, bool.
  public static let nativeDropout = OperatorDefinition(
    "native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)", traits: .random,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        if try isTraining(call) {
          _ = try call.probability(1)
          guard input.dtype.isFloatingPoint else {
            throw OperatorError(.dtype, call.target.name, "is not defined for \(input.dtype) in training")
          }
        }
        let layout = input.layout.copied(format: .preserve)
        return [input.dtype, .bool].map { TensorMeta(dtype: $0, layout: layout, device: input.device) }
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        guard try isTraining(call) else {
          builder.copy(input, to: results[0])
          return builder.fill(results[1], true)
        }
        let drawn = try RandomDraw.uniform(bits: .float64).lower(input.sizes, for: call, &builder)
        let p = ScalarExpression.constant(.double(try call.double(1)))
        let scale = ScalarExpression.constant(.double(try keptScale(call)))
        builder.pointwise([drawn], to: results[1]) { $0[0] .>= p }
        builder.pointwise([input, drawn], to: results[0]) { select($0[1] .>= p, $0[0] * scale, 0) }
      })
  )
  .drawing(isCheap: false) { try isTraining($0) ? $0.tensor(0).elementCount : 0 }
  .derivative(of: "input", saving: ["result1"]) { d in
    let scale = try isTraining(d.call) ? keptScale(d.call) : 1
    return try nativeDropoutBackward(.reference(d.gradient), .reference(d.results[1]), .double(scale))
  }

  /// grad · scale where the mask holds, else 0.
  public static let nativeDropoutBackward: OperatorDefinition = pointwise(
    "native_dropout_backward(Tensor grad_output, Tensor mask, float scale) -> Tensor",
    operands: ["grad_output", "mask", "scale"], conditions: ["mask"]
  ) { x, _ in select(x[1], x[0] * x[2], 0) }
  .wideDecomposition { try $0.tensor(1).selecting($0.tensor(0) * $0.double(2), 0.0) }
  .derivative(of: "grad_output", saving: ["mask"]) { d in
    try nativeDropoutBackward(.reference(d.gradient), d["mask"], d["scale"])
  }

  /// As `native_dropout`, without the mask; the input itself where nothing is dropped.
  public static let dropout = OperatorDefinition(
    "dropout(Tensor input, float p, bool train) -> Tensor",
    .composite { call in
      guard try call.probability(1) > 0, try call.bool(2) else { return call.arguments[0] }
      return .reference(try nativeDropout.firstResult(call.arguments))
    })

  private static func isTraining<Reference>(_ call: Call<Reference>) throws -> Bool {
    try call.arguments[2].isNone || call.bool(2)
  }

  private static func keptScale<Reference>(_ call: Call<Reference>) throws -> Double {
    let p = try call.probability(1)
    return p == 1 ? 0 : 1 / (1 - p)
  }
}

extension Tensor {
  /// In training, elements with probability p set to 0 and the rest scaled by 1 / (1 - p).
  public func dropout(_ p: Double = 0.5, isTraining: Bool) throws -> Tensor {
    try OperatorLibrary.dropout(.reference(self), .double(p), .bool(isTraining))
  }
}
