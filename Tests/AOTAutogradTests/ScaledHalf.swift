import AOTAutograd

/// A tensor subclass of a user's own, as the article "Tensor subclasses of your own" shows it.
///
/// `float32` values kept in half the memory: as `float16` data, times a scale.
struct ScaledHalf: TensorSubclass {
  let data: Tensor
  let scale: Double

  var innerTensors: KeyValuePairs<String, Tensor> { ["data": data] }
  var metadata: Double { scale }
  var outer: TensorMeta { TensorMeta(dtype: .float32, layout: data.layout, device: data.device) }

  init(data: Tensor, scale: Double) {
    self.data = data
    self.scale = scale
  }

  init(innerTensors: [Tensor], metadata: Double, outer: TensorMeta) {
    self.init(data: innerTensors[0], scale: metadata)
  }
}

extension ScaledHalf {
  static func dispatch(_ call: OperatorCall) throws -> Value? {
    if call.target.mutates { return nil }
    if call.target.schema.isView, let scaled: ScaledHalf = try call.tensor(0).unwrapped() {
      let views = try call.target.evaluate([.reference(scaled.data)] + call.arguments.dropFirst())
      return try views.map { .reference(try Tensor(wrapping: ScaledHalf(data: $0, scale: scaled.scale))) }
    }
    let arguments = try call.arguments.map { argument in
      try argument.map { tensor in
        guard let scaled: ScaledHalf = tensor.unwrapped() else { return .reference(tensor) }
        return .reference(try scaled.data.to(.float32) * scaled.scale)
      }
    }
    return try call.target.evaluate(arguments)
  }
}
