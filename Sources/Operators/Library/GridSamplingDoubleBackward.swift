import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  /// The gradients of `grid_sampler_backward` with respect to grad_output, input and grid.
  ///
  /// It is linear in grad_output. The image's gradient does not depend on the image: its own gradients are a sample and its
  /// gradient. The grid's gradient is that of a sample along the tangent of the grid.
  static func gridSampledDoubleBackward(
    _ d: DerivativeContext, sample: OperatorDefinition, backward: OperatorDefinition
  ) throws -> [Tensor?] {
    let options = Array(d.call.arguments[3...5])
    var (byGradient, byImage, byGrid): (Tensor?, Tensor?, Tensor?)
    if let tangent = d.gradients[0] {
      let image = Value.reference(tangent)
      if d.isNeeded("grad_output") { byGradient = try sample([image, d["grid"]] + options) }
      if d.isNeeded("grid") {
        let mask = Value.list([.bool(false), .bool(true)])
        byGrid = try backward.call([d["grad_output"], image, d["grid"]] + options + [mask]).elements?[1].reference
      }
    }
    if let tangent = d.gradients[1] {
      let change = try GridSampleChange(d, along: tangent)
      if d.isNeeded("grad_output") { byGradient = try sum(byGradient, change.ofSample()) }
      if d.isNeeded("input") { byImage = try change.gradientOfImage() }
      if d.isNeeded("grid") { byGrid = try sum(byGrid, change.gradientOfGrid()) }
    }
    return [byGradient, byImage, byGrid]
  }

  private static func sum(_ a: Tensor?, _ b: Tensor) throws -> Tensor { try a.map { try $0 + b } ?? b }
}

/// How samples change where the places they are taken at move along a tangent of the grid.
private struct GridSampleChange {
  let terms: [GridSamplingExpansion.Term]
  /// The tangent, by dimension of the image: [n, 1, place].
  let tangents: [Tensor]
  /// Both flat: [n, c, place].
  let gradient: Tensor
  let image: Tensor
  let context: DerivativeContext

  init(_ d: DerivativeContext, along tangent: Tensor) throws {
    let (gradient, image, grid) = (try d.tensor("grad_output"), try d.tensor("input"), try d.tensor("grid"))
    let dtype = image.dtype.accumulator
    func flat(_ grid: Tensor) throws -> [Tensor] {
      try grid.to(dtype).flatten(from: 1, to: -2).unbind(-1).reversed().map { try $0.unsqueeze(1) }
    }
    let dimensions = try GridSampling.dimensions(d.call, at: 3, sizes: Array(image.shape[2...]), dtype)
    terms = try GridSamplingExpansion(dimensions, at: try flat(grid)).terms
    tangents = try flat(tangent)
    self.gradient = try gradient.to(dtype).flatten(from: 2)
    self.image = try image.to(dtype).flatten(from: 2)
    context = d
  }

  func ofSample() throws -> Tensor {
    let changes = try terms.map { try elements($0) * change(of: $0) }
    return try changes.dropFirst().reduce(changes[0]) { try $0 + $1 }.reshape(context.sizes("grad_output"))
  }

  func gradientOfImage() throws -> Tensor {
    try terms.reduce(image.zerosLike()) { sum, term in
      let share = try term.isInside.selecting(gradient * change(of: term), 0)
      return try sum.scatterAdd(2, term.index.expand(gradient.sizes), share)
    }.reshape(context.sizes("input"))
  }

  func gradientOfGrid() throws -> Tensor {
    let products = try terms.map { try (elements($0) * gradient).sum([1], keepDimensions: true) }
    let coordinates = try tangents.indices.reversed().map { dimension in
      let shares = try zip(terms, products).map { try $1 * change(of: $0, along: dimension) }
      return try shares.dropFirst().reduce(shares[0]) { try $0 + $1 }.squeeze(1)
    }
    return try Tensor.stack(coordinates, dimension: -1).reshape(context.sizes("grid"))
  }

  /// The element that a term weights, for every channel.
  private func elements(_ term: GridSamplingExpansion.Term) throws -> Tensor {
    try term.isInside.selecting(image.gather(2, term.index.expand(gradient.sizes)), 0)
  }

  /// How a term's weight changes along the tangent; or how that changes with a coordinate.
  private func change(of term: GridSamplingExpansion.Term, along dimension: Int? = nil) throws -> Tensor {
    let parts = try tangents.enumerated().map { i, tangent in
      try tangent * term.weight(changeAlong: [i] + (dimension.map { [$0] } ?? []))
    }
    return try parts.dropFirst().reduce(parts[0]) { try $0 + $1 }
  }
}
