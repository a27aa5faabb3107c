import GraphIR
import TensorCore

// Reading and writing elements by their number in row-major order, or where a condition holds.
extension OperatorLibrary {
  static let flatIndexing = [take, put, maskedScatter, maskedScatterBackward]

  /// The elements of these numbers, in the shape of the indices; negative ones count from the end.
  public static let take = OperatorDefinition.decomposed(
    "take(Tensor self, Tensor index) -> Tensor", traits: .checksElements
  ) { call in
    let (input, index) = (try call.tensor(0), try call.tensor(1))
    try call.checkIndex(1)
    guard !input.layout.isEmpty || index.layout.isEmpty else {
      throw OperatorError(.index, call.target.name, "there is nothing to take from sizes \(input.sizes)")
    }
    return .reference(try input.reshape([-1]).index([index]))
  }
  .derivative(saving: ["index"]) { d in
    let zeros = try d.gradient.newZeros(d.sizes("self"))
    return try put(.reference(zeros), d["index"], .reference(d.gradient), .bool(true))
  }

  /// A copy of `self` in which `source` takes the place of, or is added to, the elements of these numbers.
  public static let put: OperatorDefinition = OperatorDefinition.decomposed(
    "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
    shape: { call in
      let (input, index, source) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
      try call.checkIndex(1)
      guard source.dtype == input.dtype else {
        throw OperatorError(
          .dtype, call.target.name, "'source' must have the dtype \(input.dtype) of 'self', got \(source.dtype)")
      }
      guard source.layout.elementCount == index.layout.elementCount else {
        throw OperatorError(
          .shape, call.target.name,
          "needs an element of 'source' per index, got sizes \(source.sizes) for \(index.sizes)")
      }
      guard !input.layout.isEmpty || index.layout.isEmpty else {
        throw OperatorError(.index, call.target.name, "there is no place to put anything in sizes \(input.sizes)")
      }
      return [TensorMeta(dtype: input.dtype, layout: input.layout.copied(), device: input.device)]
    }
  ) { call in
    let input = try call.tensor(0)
    let written = try input.reshape([-1]).indexPut(
      [call.tensor(1).reshape([-1])], call.tensor(2).reshape([-1]), accumulate: call.bool(3))
    return .reference(try written.reshape(input.sizes))
  }
  .derivative(of: "self", saving: ["index"]) { d in
    if try d.call.bool(3) { return d.gradient }
    return try put(.reference(d.gradient), d["index"], .reference(d.gradient.newZeros(d.sizes("index"))))
  }
  .derivative(of: "source", saving: ["index"]) { d in
    try take(.reference(d.gradient), d["index"]).reshape(d.sizes("source"))
  }
  .inPlaceVariant()

  /// A copy of `self` in which the first elements of `source` take, in order, the places where a condition holds; tensor and
  /// condition broadcast.
  public static let maskedScatter: OperatorDefinition = OperatorDefinition(
    "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", traits: .checksElements,
    .host(
      shape: { call in
        let (input, source) = (try call.tensor(0), try call.tensor(2))
        try call.checkMask(1)
        guard source.dtype == input.dtype else {
          throw OperatorError(
            .dtype, call.target.name, "'source' must have the dtype \(input.dtype) of 'self', got \(source.dtype)")
        }
        let sizes = try call.target.broadcast([input.sizes, call.tensor(1).sizes])
        return [TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device)]
      },
      body: { call, results in
        try EagerKernels.copy(call.tensor(0), to: results[0])
        let source = try call.tensor(2).dense()
        let places = try call.tensor(1).dense(broadcast: results[0].sizes).places()
        guard places.count <= source.elementCount else {
          throw OperatorError(
            .elements, call.target.name,
            "the mask holds at \(places.count) places, 'source' has \(source.elementCount) elements")
        }
        results[0].copyElements(of: source, places.enumerated().map { ($0.offset, $0.element) })
      })
  )
  .derivative(of: "self", saving: ["mask"]) { try $0.gradient.maskedFill($0.tensor("mask"), 0) }
  .derivative(of: "source", saving: ["mask"]) { d in
    try maskedScatterBackward(.reference(d.gradient), d["mask"], Value(d.sizes("source")))
  }
  .inPlaceVariant()

  /// The elements where a condition holds, in order, and zeros after them, in other sizes: the gradient of `masked_scatter`.
  public static let maskedScatterBackward = OperatorDefinition(
    "masked_scatter_backward(Tensor grad_output, Tensor mask, SymInt[] sizes) -> Tensor",
    .host(
      shape: { call in
        let gradient = try call.tensor(0)
        try call.checkMask(1)
        guard try call.target.broadcast([gradient.sizes, call.tensor(1).sizes]) == gradient.sizes else {
          throw OperatorError(
            .shape, call.target.name,
            "a mask of sizes \(try call.tensor(1).sizes) does not broadcast to \(gradient.sizes)")
        }
        let meta = TensorMeta(dtype: gradient.dtype, sizes: try call.symInts(2), device: gradient.device)
        _ = try meta.layout.requiredByteCount(meta.dtype)
        return [meta]
      },
      body: { call, results in
        let gradient = try call.tensor(0).dense()
        let places = try call.tensor(1).dense(broadcast: gradient.sizes).places()
        guard places.count <= results[0].elementCount else {
          throw OperatorError(
            .shape, call.target.name,
            "the mask holds at \(places.count) places, sizes \(results[0].sizes) have fewer elements")
        }
        results[0].clearElements()
        results[0].copyElements(of: gradient, places.enumerated().map { ($0.element, $0.offset) })
      })
  )
  .derivative(of: "grad_output", saving: ["mask"]) { d in
    let zeros = try d.gradient.newZeros(d.sizes("grad_output"))
    return try maskedScatter(.reference(zeros), d["mask"], .reference(d.gradient))
  }
}

extension Call where Reference == Tensor {
  fileprivate func checkMask(_ position: Int) throws {
    guard try tensor(position).dtype == .bool else { throw mismatch(position, "a bool tensor") }
  }
}

// Of real tensors alone: what host code works on.
extension Tensor {
  /// A dense copy, broadcast to sizes where some are given.
  fileprivate func dense(broadcast sizes: [SymInt]? = nil) throws -> Tensor {
    let copy = try Tensor(uninitialized: Layout(contiguous: sizes ?? self.sizes), dtype: dtype)
    try EagerKernels.copy(self, to: copy)
    return copy
  }

  /// The numbers of the elements that are true.
  fileprivate func places() throws -> [Int] { try elements(as: Bool.self).enumerated().filter(\.element).map(\.offset) }

  /// Copies elements by their numbers.
  ///
  /// - Precondition: Both tensors are dense and of one dtype.
  fileprivate func copyElements(of source: Tensor, _ moves: [(from: Int, to: Int)]) {
    guard let target = dataAddress, let origin = source.dataAddress else { return }
    let size = dtype.byteCount
    for (from, to) in moves { (target + to * size).copyMemory(from: origin + from * size, byteCount: size) }
  }

  /// - Precondition: The tensor is dense.
  fileprivate func clearElements() {
    dataAddress?.initializeMemory(as: UInt8.self, repeating: 0, count: elementCount * dtype.byteCount)
  }
}

extension Tensor {
  /// The elements of these numbers in row-major order; negative ones count from the end.
  public func take(_ index: Tensor) throws -> Tensor { try OperatorLibrary.take(.reference(self), .reference(index)) }

  /// A copy in which `source` takes the place of, or is added to, the elements of these numbers in row-major order.
  public func put(_ index: Tensor, _ source: Tensor, accumulate: Bool = false) throws -> Tensor {
    try OperatorLibrary.put(.reference(self), .reference(index), .reference(source), .bool(accumulate))
  }

  @discardableResult
  public func put_(_ index: Tensor, _ source: Tensor, accumulate: Bool = false) throws -> Tensor {
    try OperatorLibrary.put.inPlace(.reference(self), .reference(index), .reference(source), .bool(accumulate))
  }

  /// A copy in which the first elements of `source` take, in order, the places where a condition (bool) holds.
  public func maskedScatter(_ mask: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.maskedScatter(.reference(self), .reference(mask), .reference(source))
  }

  @discardableResult
  public func maskedScatter_(_ mask: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.maskedScatter.inPlace(.reference(self), .reference(mask), .reference(source))
  }
}
