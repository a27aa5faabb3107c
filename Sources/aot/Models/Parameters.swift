import AOTAutograd

extension Tensor {
  /// A leaf that requires gradients, its elements normal with mean 0.
  static func normal(_ shape: [Int], deviation: Double, from random: inout SeededRandom) throws -> Tensor {
    let elements = (0..<shape.reduce(1, *)).map { _ in random.normal() * Float(deviation) }
    return try Tensor(elements, shape: shape).requiringGrad()
  }

  /// A leaf that requires gradients, all its elements the same.
  static func parameter(filledWith value: Float, _ shape: [Int]) throws -> Tensor {
    try Tensor([Float](repeating: value, count: shape.reduce(1, *)), shape: shape).requiringGrad()
  }

  /// A tensor of the same shape that holds zeros and requires no gradients.
  func zerosOfSameShape() throws -> Tensor {
    try Tensor([Float](repeating: 0, count: elementCount), shape: shape)
  }
}

extension TensorTree {
  var parameterCount: Int { tensors.reduce(0) { $0 + $1.elementCount } }
}
