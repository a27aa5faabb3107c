import GraphIR
import LoopIR
import TensorCore

// The largest element, and its index in the flattened space, of as many windows as are asked for.
extension OperatorLibrary {
  static let adaptiveMaxPooling = [
    adaptiveMaxPool1d, adaptiveMaxPool2d, adaptiveMaxPool3d, adaptiveMaxPool2dBackward, adaptiveMaxPool3dBackward,
  ]

  public static let adaptiveMaxPool2d: OperatorDefinition = adaptiveMaximum(
    "adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)", rank: 2,
    gradient: adaptiveMaxPool2dBackward)

  public static let adaptiveMaxPool3d: OperatorDefinition = adaptiveMaximum(
    "adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)", rank: 3,
    gradient: adaptiveMaxPool3dBackward)

  /// Each window's gradient, added to the element that was the largest.
  public static let adaptiveMaxPool2dBackward = adaptiveMaximumBackward(
    "adaptive_max_pool2d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor", rank: 2)

  public static let adaptiveMaxPool3dBackward = adaptiveMaximumBackward(
    "adaptive_max_pool3d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor", rank: 3)

  public static let adaptiveMaxPool1d = OperatorDefinition(
    "adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)",
    .composite { call in
      let (input, counts) = (try call.planeOfRow(0), try call.exactInts(1, count: 1))
      let results = try adaptiveMaxPool2d.several(.reference(input), Value([1] + counts))
      return .tuple(try results.map { .reference(try $0.squeeze(-2)) })
    })

  private static func adaptiveMaximum(
    _ schema: String, rank: Int, gradient: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let values = TensorMeta(try call.adaptiveSizes(rank: rank), likePlanes: input, rank: rank)
          return [values, TensorMeta(dtype: .int64, layout: values.layout, device: values.device)]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let windows = AdaptiveWindows(over: input, to: results[0], rank: rank)
          builder.maxima(
            MaximumWindows(
              elements: windows.access(input), sizes: windows.longest, space: windows.space,
              isInside: windows.isInside, place: windows.place),
            to: results[0], indices: results[1])
        })
    )
    .derivative(of: "self", saving: ["self", "result1"]) { d in
      try gradient()(.reference(d.gradient), d["self"], .reference(d.results[1]))
    }
  }

  private static func adaptiveMaximumBackward(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let (gradient, input) = (try call.tensor(0), try call.tensor(1))
          try call.checkAdaptiveGradient(rank: rank)
          try call.checkMaximaGradient(sizes: gradient.sizes, indices: 2)
          return [TensorMeta(input.sizes, likePlanes: input, rank: rank)]
        },
        lowering: { call, results, builder in
          builder.spreadMaxima(try call.reference(0), indices: try call.reference(2), rank: rank, to: results[0])
        })
    )
    .derivative(of: "grad_output", saving: ["indices"]) { d in try d.maximaGathered(rank: rank) }
    .derivative(of: "self") { _ in nil }
  }
}

extension Tensor {
  /// The largest elements of so many windows over the last two dimensions, which share them evenly.
  public func adaptiveMaxPool2d(_ height: Int, _ width: Int) throws -> Tensor {
    try OperatorLibrary.adaptiveMaxPool2d.several(.reference(self), Value([height, width]))[0]
  }
}
