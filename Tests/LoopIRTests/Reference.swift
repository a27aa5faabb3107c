import Foundation
import LoopIR
import TensorCore

/// Memory of one buffer, read and written one element at a time.
final class Memory {
  let dtype: DType
  let count: Int
  let base: UnsafeMutableRawPointer

  init(_ dtype: DType, _ count: Int) {
    self.dtype = dtype
    self.count = count
    base = .allocate(byteCount: max(count * dtype.byteCount, 1), alignment: 64)
    base.initializeMemory(as: UInt8.self, repeating: 0xAB, count: max(count * dtype.byteCount, 1))
  }

  convenience init(_ dtype: DType, _ values: [Double]) {
    self.init(dtype, values.count)
    for (i, value) in values.enumerated() { self[i] = Number(value).cast(dtype) }
  }

  func copy() -> Memory {
    let result = Memory(dtype, count)
    result.base.copyMemory(from: base, byteCount: count * dtype.byteCount)
    return result
  }

  deinit { base.deallocate() }

  subscript(_ index: Int) -> Number {
    get {
      precondition((0..<count).contains(index), "reference read outside the buffer")
      return switch dtype {
      case .bool: Number(integer: Int64(at(index, UInt8.self) == 0 ? 0 : 1), .bool)
      case .uint8: Number(integer: Int64(at(index, UInt8.self)), dtype)
      case .int8: Number(integer: Int64(at(index, Int8.self)), dtype)
      case .int16: Number(integer: Int64(at(index, Int16.self)), dtype)
      case .int32: Number(integer: Int64(at(index, Int32.self)), dtype)
      case .int64: Number(integer: at(index, Int64.self), dtype)
      case .float16: Number(real: Double(Float(Half(bitPattern: at(index, UInt16.self)))), .float16)
      case .bfloat16: Number(real: Double(Float(BFloat16(bitPattern: at(index, UInt16.self)))), .bfloat16)
      case .float32: Number(real: Double(at(index, Float.self)), dtype)
      case .float64: Number(real: at(index, Double.self), dtype)
      }
    }
    set {
      precondition((0..<count).contains(index), "reference write outside the buffer")
      let value = newValue.cast(dtype)
      switch dtype {
      case .bool: put(index, UInt8(truncatingIfNeeded: value.integer))
      case .uint8: put(index, UInt8(truncatingIfNeeded: value.integer))
      case .int8: put(index, Int8(truncatingIfNeeded: value.integer))
      case .int16: put(index, Int16(truncatingIfNeeded: value.integer))
      case .int32: put(index, Int32(truncatingIfNeeded: value.integer))
      case .int64: put(index, value.integer)
      case .float16: put(index, Half(Float(value.real)).bitPattern)
      case .bfloat16: put(index, BFloat16(Float(value.real)).bitPattern)
      case .float32: put(index, Float(value.real))
      case .float64: put(index, value.real)
      }
    }
  }

  private func at<T: BitwiseCopyable>(_ index: Int, _: T.Type) -> T {
    base.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: T.self)
  }

  private func put<T: BitwiseCopyable>(_ index: Int, _ value: T) {
    base.storeBytes(of: value, toByteOffset: index * MemoryLayout<T>.size, as: T.self)
  }

  var values: [Double] { (0..<count).map { self[$0].asDouble } }
}

/// A number of a dtype, as the reference computes it.
struct Number {
  var integer: Int64
  var real: Double
  var dtype: DType

  init(integer: Int64, _ dtype: DType) {
    self.integer = integer
    real = 0
    self.dtype = dtype
  }

  init(real: Double, _ dtype: DType) {
    integer = 0
    self.real = real
    self.dtype = dtype
  }

  init(_ value: Double) { self.init(real: value, .float64) }

  init(of scalar: Scalar) {
    switch scalar {
    case .bool(let value): self.init(integer: value ? 1 : 0, .bool)
    case .int(let value): self.init(integer: Int64(value), .int64)
    case .double(let value): self.init(real: value, .float64)
    }
  }

  var asDouble: Double { dtype.isFloatingPoint ? real : Double(integer) }
  var truth: Bool { dtype.isFloatingPoint ? real != 0 : integer != 0 }

  func cast(_ target: DType) -> Number {
    if target == .bool { return Number(integer: truth ? 1 : 0, .bool) }
    if !target.isFloatingPoint {
      var whole = integer
      if dtype.isFloatingPoint {
        whole = Int64(Scalar.double(real).intValue)
        if target != .int64 { whole = min(max(whole, Int64(Int32.min)), Int64(Int32.max)) }
      }
      return Number(integer: whole, target).wrapped
    }
    return Number(real: asDouble, target).wrapped
  }

  /// In range and precision of its dtype.
  var wrapped: Number {
    switch dtype {
    case .bool: Number(integer: integer == 0 ? 0 : 1, dtype)
    case .uint8: Number(integer: Int64(UInt8(truncatingIfNeeded: integer)), dtype)
    case .int8: Number(integer: Int64(Int8(truncatingIfNeeded: integer)), dtype)
    case .int16: Number(integer: Int64(Int16(truncatingIfNeeded: integer)), dtype)
    case .int32: Number(integer: Int64(Int32(truncatingIfNeeded: integer)), dtype)
    case .int64, .float64: self
    case .float32: Number(real: Double(Float(real)), dtype)
    case .float16: Number(real: Double(Float(Half(Float(real)))), dtype)
    case .bfloat16: Number(real: Double(Float(BFloat16(Float(real)))), dtype)
    }
  }
}

/// Evaluates loop programs as their documentation says: one index at a time, no shortcuts.
struct Reference {
  var buffers: [Memory]

  init(_ program: LoopProgram, externals: [Memory]) {
    buffers = program.buffers.map { buffer in
      if case .external(let position) = buffer.role {
        externals[position]
      } else {
        Memory(buffer.dtype, buffer.elementCount)
      }
    }
  }

  static func run(_ program: LoopProgram, externals: [Memory]) {
    let reference = Reference(program, externals: externals)
    for kernel in program.kernels {
      switch kernel {
      case .loop(let kernel): reference.run(kernel)
      case .matmul(let kernel): reference.run(kernel)
      case .host(let kernel):
        try? kernel.body(
          kernel.inputs.map { reference.buffers[$0.buffer.index].base },
          kernel.outputs.map { reference.buffers[$0.buffer.index].base })
      }
    }
  }

  private func run(_ kernel: LoopKernel) {
    // Stores happen after every load of the kernel, so that no order of indices can matter.
    var pending: [() -> Void] = []
    forEachIndex(kernel.outerSizes) { outer in
      var results: [Number] = []
      for reduction in kernel.reductions {
        var values: [Number] = []
        forEachIndex(kernel.reducedSizes) { reduced in
          let index = outer + reduced
          values.append(evaluate(reduction.value, kernel, index, results, hint: reduction.dtype).cast(reduction.dtype))
        }
        results.append(fold(reduction, values))
      }
      for store in kernel.stores {
        func put(_ index: [Int]) {
          let value = evaluate(store.value, kernel, index, results, hint: store.access.dtype)
          let place = position(store.access, kernel, index, results)
          let memory = buffers[store.access.buffer.index]
          let operation: BinaryOperation? =
            switch store.mode {
            case .assign: nil
            case .accumulate: .add
            case .multiply: .multiply
            case .minimum: .minimum
            case .maximum: .maximum
            }
          pending.append {
            memory[place] =
              operation.map { Self.binary($0, memory[place], value.cast(store.access.dtype)) } ?? value
          }
        }
        if store.extent == .outer {
          put(outer)
        } else {
          forEachIndex(kernel.reducedSizes) { put(outer + $0) }
        }
      }
    }
    for store in pending { store() }
  }

  private func run(_ kernel: MatmulKernel) {
    let rank = kernel.result.sizes.count
    let inner = kernel.left.sizes[rank - 1]
    let dtype = kernel.result.dtype
    forEachIndex(kernel.result.sizes) { index in
      var real = 0.0
      var integer: Int64 = 0
      for k in 0..<inner {
        let left = at(kernel.left, index.dropLast() + [k])
        let right = at(kernel.right, index.dropLast(2) + [k, index[rank - 1]])
        real += left.real * right.real
        integer = integer &+ left.integer &* right.integer
      }
      let place = zip(index, kernel.result.strides).reduce(kernel.result.offset) { $0 + $1.0 * $1.1 }
      let memory = buffers[kernel.result.buffer.index]
      real = real * kernel.alpha + (kernel.beta == 0 ? 0 : kernel.beta * memory[place].real)
      if dtype.isInteger {
        integer = integer &* Int64(kernel.alpha) &+ (kernel.beta == 0 ? 0 : Int64(kernel.beta) &* memory[place].integer)
      }
      memory[place] = dtype.isFloatingPoint ? Number(real: real, dtype) : Number(integer: integer, dtype)
    }
  }

  private func at(_ operand: Operand, _ index: [Int]) -> Number {
    buffers[operand.buffer.index][zip(index, operand.strides).reduce(operand.offset) { $0 + $1.0 * $1.1 }]
  }

  private func forEachIndex(_ sizes: [Int], _ body: ([Int]) -> Void) {
    Layout(contiguous: [SymInt](sizes)).forEachElementIndex { flat in
      var rest = flat
      var index = [Int](repeating: 0, count: sizes.count)
      for dimension in sizes.indices.reversed() {
        index[dimension] = rest % sizes[dimension]
        rest /= sizes[dimension]
      }
      body(index)
    }
  }

  private func position(_ access: LoopKernel.Access, _ kernel: LoopKernel, _ index: [Int], _ results: [Number]) -> Int {
    var place = zip(access.strides, index).reduce(access.offset) { $0 + $1.0 * $1.1 }
    for indirection in access.indirections {
      let number = evaluate(indirection.index, kernel, index, results, hint: .int64)
      place += Int(number.cast(.int64).integer) * indirection.stride
    }
    return place
  }

  private func fold(_ reduction: LoopKernel.Reduction, _ values: [Number]) -> Number {
    let dtype = reduction.dtype
    switch reduction.operation {
    case .sum:
      if dtype.isFloatingPoint { return Number(real: values.reduce(0) { $0 + $1.real }, dtype).wrapped }
      return Number(integer: values.reduce(0) { $0 &+ $1.integer }, dtype).wrapped
    case .product:
      return values.reduce(Number(1).cast(dtype)) { Self.binary(.multiply, $0, $1) }
    case .minimum: return values.dropFirst().reduce(values[0]) { Self.binary(.minimum, $0, $1) }
    case .maximum: return values.dropFirst().reduce(values[0]) { Self.binary(.maximum, $0, $1) }
    case .any: return Number(integer: values.contains { $0.truth } ? 1 : 0, .bool).cast(dtype)
    case .all: return Number(integer: values.allSatisfy { $0.truth } ? 1 : 0, .bool).cast(dtype)
    case .argmin, .argmax:
      var best = 0
      for i in values.indices where !values[best].asDouble.isNaN {
        let isBetter =
          reduction.operation == .argmin
          ? values[i].asDouble < values[best].asDouble : values[i].asDouble > values[best].asDouble
        if isBetter || values[i].asDouble.isNaN { best = i }
      }
      return Number(integer: Int64(best), .int64)
    }
  }

  private func evaluate(
    _ expression: ScalarExpression, _ kernel: LoopKernel, _ index: [Int], _ results: [Number], hint: DType?
  ) -> Number {
    func value(_ e: ScalarExpression, _ hint: DType?) -> Number { evaluate(e, kernel, index, results, hint: hint) }
    func pair(_ a: ScalarExpression, _ b: ScalarExpression, _ hint: DType?) -> (Number, Number) {
      if case .constant = a {
        if case .constant = b { return (value(a, hint), value(b, hint)) }
        let y = value(b, hint)
        return (value(a, y.dtype), y)
      }
      let x = value(a, hint)
      return (x, value(b, x.dtype))
    }
    switch expression {
    case .load(let number):
      let access = kernel.loads[number]
      return buffers[access.buffer.index][position(access, kernel, index, results)]
    case .local(let number): return value(kernel.locals[number], hint)
    case .reduced(let number): return results[number]
    case .constant(let scalar):
      let natural = Number(of: scalar)
      return hint.map { natural.cast($0) } ?? natural
    case .coordinate(let dimension): return Number(integer: Int64(index[dimension]), .int64)
    case .cast(let dtype, let inner): return value(inner, dtype).cast(dtype)
    case .unary(let operation, let a): return Self.unary(operation, value(a, hint))
    case .binary(let operation, let a, let b):
      let (x, y) = pair(a, b, operation.isComparison ? nil : hint)
      return Self.binary(operation, x, y)
    case .select(let condition, let a, let b):
      let flag = value(condition, .bool).truth
      let (x, y) = pair(a, b, hint)
      return flag ? x : y
    }
  }
}
