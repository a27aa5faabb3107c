import TensorCore

/// Writes a loop program, kernel by kernel: what an operator's lowering is written in.
public struct LoopBuilder {
  public private(set) var program = LoopProgram()

  public init() {}

  /// Memory that the caller will pass at the next position.
  public mutating func external(_ dtype: DType, elementCount: Int) -> BufferID {
    append(.init(role: .external(program.externalCount), dtype: dtype, elementCount: elementCount))
  }

  /// A dense temporary.
  public mutating func temporary(_ dtype: DType, _ sizes: [Int]) -> Operand {
    let layout = Layout(contiguous: [SymInt](sizes))
    let buffer = append(.init(role: .temporary, dtype: dtype, elementCount: layout.elementCount.value))
    return Operand(buffer: buffer, dtype: dtype, sizes: sizes, strides: layout.strides.values)
  }

  private mutating func append(_ buffer: LoopProgram.Buffer) -> BufferID {
    program.buffers.append(buffer)
    return BufferID(program.buffers.count - 1)
  }

  public mutating func append(_ kernel: Kernel) { program.kernels.append(kernel) }

  /// Writes to every element of `output` what `body` makes of the elements of the inputs at that (broadcast) index.
  /// The value is cast to the output's dtype.
  public mutating func pointwise(
    _ inputs: [Operand], to output: Operand, mode: LoopKernel.Store.Mode = .assign,
    _ body: ([ScalarExpression]) -> ScalarExpression
  ) {
    let value = body(inputs.indices.map { .load($0) })
    append(
      .loop(
        LoopKernel(
          outerSizes: output.sizes, loads: inputs.map { $0.broadcast(to: output.sizes).access },
          stores: [.init(output.access, .cast(output.dtype, value), mode: mode)])))
  }

  /// Folds `body` of the inputs' elements over `dimensions` of their common shape; `output` has the remaining dimensions.
  ///
  /// - Parameter finish: Makes the stored value of the folded one.
  public mutating func reduce(
    _ operation: LoopKernel.Reduction.Operation, _ inputs: [Operand], over dimensions: [Int], to output: Operand,
    accumulating dtype: DType, _ body: ([ScalarExpression]) -> ScalarExpression = { $0[0] },
    finish: (ScalarExpression) -> ScalarExpression = { $0 }
  ) {
    let sizes = inputs.map(\.sizes).max { $0.count < $1.count } ?? []
    let outer = sizes.indices.filter { !dimensions.contains($0) }
    let loads = inputs.map { $0.broadcast(to: sizes).permuted(outer + dimensions).access }
    let value = LoopKernel.Reduction(operation, .cast(dtype, body(inputs.indices.map { .load($0) })), dtype: dtype)
    append(
      .loop(
        LoopKernel(
          outerSizes: outer.map { sizes[$0] }, reducedSizes: dimensions.map { sizes[$0] }, loads: loads,
          reductions: [value], stores: [.init(output.access, .cast(output.dtype, finish(.reduced(0))), extent: .outer)])
      ))
  }

  public mutating func fill(_ output: Operand, _ value: Scalar) { pointwise([], to: output) { _ in .constant(value) } }

  /// Copies, converting to the output's dtype.
  public mutating func copy(_ input: Operand, to output: Operand) { pointwise([input], to: output) { $0[0] } }

  public mutating func matmul(
    _ left: Operand, _ right: Operand, to result: Operand, alpha: Double = 1, beta: Double = 0
  ) {
    append(.matmul(MatmulKernel(left: left, right: right, result: result, alpha: alpha, beta: beta)))
  }
}

extension Operand {
  /// The element at each index, in index order.
  public var access: LoopKernel.Access { .init(buffer: buffer, dtype: dtype, strides: strides, offset: offset) }

  /// Stretched to larger sizes by a stride of 0, aligned at the last dimension.
  ///
  /// - Precondition: Each size is the wanted one or 1.
  public func broadcast(to wanted: [Int]) -> Operand {
    let missing = wanted.count - sizes.count
    precondition(missing >= 0, "cannot broadcast \(sizes) to \(wanted)")
    var result = self
    result.sizes = wanted
    result.strides = wanted.indices.map { dimension in
      guard dimension >= missing else { return 0 }
      let size = sizes[dimension - missing]
      precondition(size == wanted[dimension] || size == 1, "cannot broadcast \(sizes) to \(wanted)")
      return size == wanted[dimension] ? strides[dimension - missing] : 0
    }
    return result
  }

  public func permuted(_ order: [Int]) -> Operand {
    var result = self
    result.sizes = order.map { sizes[$0] }
    result.strides = order.map { strides[$0] }
    return result
  }

  /// The same buffer seen through another layout.
  public func viewed(as sizes: [Int], strides: [Int], offset: Int) -> Operand {
    Operand(buffer: buffer, dtype: dtype, sizes: sizes, strides: strides, offset: offset)
  }

  public var elementCount: Int { sizes.reduce(1, *) }
}
