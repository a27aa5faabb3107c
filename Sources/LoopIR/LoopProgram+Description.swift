import TensorCore

extension LoopProgram: CustomStringConvertible {
  /// A readable program: buffers first, then kernels in execution order.
  public var description: String {
    var lines = buffers.enumerated().map { index, buffer in
      let role = if case .external(let position) = buffer.role { "external \(position)" } else { "temporary" }
      return "b\(index): \(buffer.dtype.abbreviation)[\(buffer.elementCount)] \(role)"
    }
    for (index, kernel) in kernels.enumerated() { lines.append("k\(index): \(kernel)") }
    return lines.joined(separator: "\n")
  }
}

extension Kernel: CustomStringConvertible {
  public var description: String {
    switch self {
    case .loop(let kernel): kernel.description
    case .matmul(let kernel): kernel.description
    case .host(let kernel): kernel.description
    }
  }
}

extension LoopKernel: CustomStringConvertible {
  public var description: String {
    var lines = ["for \(outerSizes)" + (reducedSizes.isEmpty ? "" : " reduce \(reducedSizes)") + " {"]
    for (index, load) in loads.enumerated() { lines.append("  x\(index) = \(load)") }
    for (index, local) in locals.enumerated() { lines.append("  t\(index) = \(local)") }
    for (index, reduction) in reductions.enumerated() {
      lines.append("  r\(index) = \(reduction.operation.rawValue).\(reduction.dtype.abbreviation) \(reduction.value)")
    }
    for store in stores {
      let mode = store.mode == .assign ? "" : "\(store.mode.rawValue) "
      lines.append("  \(store.extent == .outer ? "outer " : "")\(store.access) = \(mode)\(store.value)")
    }
    return (lines + ["}"]).joined(separator: "\n")
  }
}

extension LoopKernel.Access: CustomStringConvertible {
  public var description: String {
    var terms = ["strides \(strides)"]
    if offset != 0 { terms.append("offset \(offset)") }
    for indirection in indirections {
      terms.append("(\(indirection.index) in 0..<\(indirection.size))*\(indirection.stride)")
    }
    return "b\(buffer.index).\(dtype.abbreviation)<\(terms.joined(separator: " + "))>"
  }
}

extension MatmulKernel: CustomStringConvertible {
  public var description: String {
    "\(result) = matmul(\(left), \(right), alpha: \(alpha), beta: \(beta))"
  }
}

extension HostKernel: CustomStringConvertible {
  public var description: String { "\(outputs) = host \"\(name)\" \(inputs)" }
}

extension Operand: CustomStringConvertible {
  public var description: String {
    "b\(buffer.index).\(dtype.abbreviation)\(sizes)<\(strides)\(offset == 0 ? "" : " + offset \(offset)")>"
  }
}

extension ScalarExpression: CustomStringConvertible {
  public var description: String {
    switch self {
    case .load(let index): "x\(index)"
    case .reduced(let index): "r\(index)"
    case .local(let index): "t\(index)"
    case .constant(let value): "\(value)"
    case .coordinate(let dimension): "i\(dimension)"
    case .unary(let operation, let a): "\(operation.rawValue)(\(a))"
    case .binary(let operation, let a, let b): "\(operation.rawValue)(\(a), \(b))"
    case .select(let a, let b, let c): "select(\(a), \(b), \(c))"
    case .cast(let dtype, let a): "\(dtype.abbreviation)(\(a))"
    }
  }
}
