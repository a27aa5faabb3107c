import GraphIR
import LoopIR
import TensorCore

// Convolution over one to three spatial dimensions, as a product with a matrix of windows.
extension OperatorLibrary {
  static let convolutions = [
    convolution, convolutionBackward, conv1d, conv2d, conv3d, conv1dPadding, conv2dPadding, conv3dPadding,
    convTranspose1d, convTranspose2d, convTranspose3d,
  ]

  /// input [n, c, size…], weight [out, c / groups, kernel…] → [n, out, size…]; transposed: weight [c, out / groups,
  /// kernel…], the gradient of a convolution with respect to its input.
  public static let convolution: OperatorDefinition = OperatorDefinition(
    """
    convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, \
    bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor
    """, traits: .computeBound,
    .kernel(
      shape: { call in
        let (input, weight) = (try call.tensor(0), try call.tensor(1))
        let geometry = try ConvolutionGeometry(call, at: 3, rank: input.rank - 2)
        let sizes = try geometry.resultSizes(call, input, weight)
        if let bias = try call.optionalTensor(2) {
          guard bias.sizes == [sizes[1]], bias.dtype == input.dtype else {
            throw OperatorError(
              .shape, call.target.name,
              "'bias' must be a vector of \(sizes[1]) elements of dtype \(input.dtype), got \(bias.dtype) of sizes \(bias.sizes)"
            )
          }
        }
        return [TensorMeta(sizes, convolving: input, weight)]
      },
      lowering: { call, results, builder in
        let (input, weight) = (try call.reference(0), try call.reference(1))
        let geometry = try ConvolutionGeometry(call, at: 3, rank: input.sizes.count - 2)
        let bias = try call.optionalReference(2)?.alongDimension1(of: results[0])
        if geometry.isTransposed {
          geometry.inputGradient(of: input, weight, to: results[0], adding: bias, &builder)
        } else {
          geometry.correlate(input, weight, to: results[0], adding: bias, &builder)
        }
      })
  )
  .derivative(of: "input", "weight", "bias", saving: ["input", "weight"]) { d -> [Value] in
    let bias = try d.optionalTensor("bias")
    let mask = ["input", "weight", "bias"].map { Value.bool(d.isNeeded($0)) }
    let gradients = try convolutionBackward.call(
      [.reference(d.gradient), d["input"], d["weight"], bias.map { Value($0.sizes) } ?? .none]
        + d.call.arguments[3...] + [.list(mask)])
    return gradients.elements ?? []
  }

  /// The gradients of `convolution` with respect to input, weight and bias, those that `output_mask` asks for.
  public static let convolutionBackward: OperatorDefinition = OperatorDefinition(
    """
    convolution_backward(Tensor grad_output, Tensor input, Tensor weight, SymInt[]? bias_sizes, SymInt[] stride, \
    SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups, \
    bool[3] output_mask) -> (Tensor, Tensor, Tensor)
    """, traits: .computeBound,
    .kernel(
      shape: { call in
        let (gradient, input, weight) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
        let geometry = try ConvolutionGeometry(call, at: 4, rank: input.rank - 2)
        let sizes = try geometry.resultSizes(call, input, weight)
        guard gradient.sizes == sizes, gradient.dtype == input.dtype else {
          throw OperatorError(
            .shape, call.target.name,
            "'grad_output' must be \(input.dtype) of sizes \(sizes), got \(gradient.dtype) of sizes \(gradient.sizes)")
        }
        let shapes = [input.sizes, weight.sizes, [sizes[1]]]
        return zip(try call.outputMask(10), shapes).map { isWanted, sizes in
          isWanted ? TensorMeta(sizes, convolving: input, weight) : nil
        }
      },
      lowering: { call, results, builder in
        let (gradient, input, weight) = (try call.reference(0), try call.reference(1), try call.reference(2))
        let geometry = try ConvolutionGeometry(call, at: 4, rank: input.sizes.count - 2)
        let mask = try call.outputMask(10)
        var rest = results.makeIterator()
        if mask[0], let result = rest.next() {
          if geometry.isTransposed {
            geometry.correlate(gradient, weight, to: result, adding: nil, &builder)
          } else {
            geometry.inputGradient(of: gradient, weight, to: result, adding: nil, &builder)
          }
        }
        if mask[1], let result = rest.next() {
          // A transposed convolution is the gradient of one whose input is its output.
          let (wide, narrow) = geometry.isTransposed ? (gradient, input) : (input, gradient)
          geometry.weightGradient(of: wide, narrow, to: result, &builder)
        }
        if mask[2], let result = rest.next() {
          let others = gradient.sizes.indices.filter { $0 != 1 }
          builder.reduce(.sum, [gradient], over: others, to: result, accumulating: gradient.dtype.accumulator)
        }
      })
  )
  .derivative(
    of: "grad_output", "input", "weight", saving: ["grad_output", "input", "weight"], convolutionDoubleBackward)

  /// Each gradient of `convolution_backward` is linear in two of its three tensors, so that its own gradients are
  /// convolutions and their gradients again.
  private static let convolutionDoubleBackward: @Sendable (DerivativeContext) throws -> [Value] = { d in
    let options = Array(d.call.arguments[4..<10])
    let (inputTangent, weightTangent, biasTangent) = (d.gradients[0], d.gradients[1], d.gradients[2])
    func convolved(_ input: Value, _ weight: Value) throws -> Tensor {
      try convolution([input, weight, .none] + options)
    }
    func backward(_ input: Value, _ weight: Value, result: Int) throws -> Tensor? {
      let mask = (0..<3).map { Value.bool($0 == result) }
      let arguments: [Value] = [d["grad_output"], input, weight, .none] + options + [.list(mask)]
      return try convolutionBackward.call(arguments).elements?[result].reference
    }
    var terms: [Tensor] = []
    if d.isNeeded("grad_output") {
      if let inputTangent { terms.append(try convolved(.reference(inputTangent), d["weight"])) }
      if let weightTangent { terms.append(try convolved(d["input"], .reference(weightTangent))) }
      if let biasTangent {
        let gradient = try d.tensor("grad_output")
        let spread = [1, biasTangent.sizes[0]] + [SymInt](repeating: 1, count: gradient.rank - 2)
        terms.append(try biasTangent.reshape(spread).expand(gradient.sizes))
      }
    }
    let outputGradient = try terms.dropFirst().reduce(terms.first) { try $0?.add($1) }
    let inputGradient =
      try d.isNeeded("input") ? weightTangent.flatMap { try backward(d["input"], .reference($0), result: 0) } : nil
    let weightGradient =
      try d.isNeeded("weight") ? inputTangent.flatMap { try backward(.reference($0), d["weight"], result: 1) } : nil
    return [outputGradient, inputGradient, weightGradient].map { $0.map { .reference($0) } ?? .none }
  }
}

extension TensorMeta {
  /// A new image or weight, with channels last where the image or the weight has them.
  fileprivate init(_ sizes: [SymInt], convolving image: Tensor, _ weight: Tensor) {
    self.init(sizes, like: image.layout.imageFormat == .contiguous ? weight : image)
  }
}

extension Call {
  /// Which of three results are wanted.
  fileprivate func outputMask(_ position: Int) throws -> [Bool] {
    let mask = try bools(position)
    guard mask.count == 3 else { throw mismatch(position, "3 bools") }
    return mask
  }
}

extension Operand {
  /// A vector laid along dimension 1 of another operand, the same in all others.
  fileprivate func alongDimension1(of other: Operand) -> Operand {
    viewed(as: other.sizes, strides: other.sizes.indices.map { $0 == 1 ? strides[0] : 0 }, offset: offset)
  }
}
