import AOTAutograd

/// Operators as a user's own package would define them.
enum CustomOperators {
  /// self · factor, by Swift code.
  static let scale: OperatorDefinition = OperatorDefinition(
    "mylib::scale(Tensor self, float factor) -> Tensor",
    .host(
      shape: { call in
        let input = try call.tensor(0)
        return [TensorMeta(dtype: input.dtype, sizes: input.sizes)]
      },
      body: { call, results in
        let factor = try call.double(1)
        let values = try call.tensor(0).double().elements(as: Double.self).map { $0 * factor }
        try results[0].copy_(Tensor(values, shape: results[0].shape))
      })
  )
  .derivative(of: "self") { try scale(.reference($0.gradient), $0["factor"]) }

  /// tanh(self) · self, fused by the compiler.
  static let bent: OperatorDefinition = .decomposed("mylib::bent(Tensor self) -> Tensor") { call in
    let input = try call.tensor(0)
    return .reference(try input.tanh() * input)
  }
  .derivative(saving: ["self"]) { d in
    let tanh = try d.tensor("self").tanh()
    return try d.gradient * (tanh + d.tensor("self") * (1 - tanh * tanh))
  }
  .inPlaceVariant()

  /// Adds to a running sum and counts: writes to two arguments, and gives the mean so far.
  static let observe = OperatorDefinition(
    "mylib::observe(Tensor(a!) sum, Tensor(b!) count, Tensor value) -> Tensor",
    .mutating(
      shape: { call in
        let (sum, value) = (try call.tensor(0), try call.tensor(2))
        guard sum.sizes == value.sizes else {
          throw OperatorError(
            .shape, call.target.name, "argument 'value' must have shape \(sum.sizes), got \(value.sizes)")
        }
        return [TensorMeta(dtype: sum.dtype, sizes: sum.sizes)]
      },
      body: { call, results in
        let (sum, count) = (try call.tensor(0), try call.tensor(1))
        try sum.add_(call.tensor(2))
        try count.add_(1)
        try results[0].copy_(sum / count)
      })
  )

  /// Every other element from the first, as a view.
  static let evens: OperatorDefinition = OperatorDefinition(
    "mylib::evens(Tensor(a) self) -> Tensor(a)",
    .view { call in
      let layout = try call.tensor(0).layout
      guard layout.rank == 1 else {
        throw OperatorError(.shape, call.target.name, "needs one dimension, got \(layout.sizes)")
      }
      return [
        Layout(
          sizes: [SymInt((layout.sizes[0].value + 1) / 2)], strides: [layout.strides[0] * 2], offset: layout.offset)
      ]
    }
  )
  .viewInverse { _, source, mutated, _ in try source.sliceScatter(mutated, 0, step: 2) }
  .derivative { d in
    try d.gradient.newZeros([d.sizes("self")[0].value]).sliceScatter(d.gradient, 0, step: 2)
  }
}
