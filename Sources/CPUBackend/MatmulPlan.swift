import LoopIR
import TensorCore

/// A matrix product ready to run: plain data, owned by its program's `PlanMemory`.
struct MatmulPlan {
  struct Operand {
    var buffer: Int
    var offset: Int
    var rowStride: Int
    var columnStride: Int
    var batchStrides: UnsafeMutablePointer<Int>
  }

  var dtype: DType
  var m: Int
  var n: Int
  var k: Int
  var alpha: Double
  var beta: Double
  var left: Operand
  var right: Operand
  var result: Operand
  var batchSizes: UnsafeMutablePointer<Int>
  var batchRank: Int
  var batchCount: Int
  /// Each product is cut into this many parts, along its longer side.
  var partCount: Int
  var partsAreColumns: Bool
  var nanosecondsPerItem: Double
  var scratchByteCount: Int

  var itemCount: Int { m == 0 || n == 0 ? 0 : batchCount * partCount }

  /// - Throws: `LoopError` with code `unsupported` for bool, which has no matrix product.
  init(_ kernel: MatmulKernel, into memory: PlanMemory, threadCount: Int) throws(LoopError) {
    dtype = kernel.result.dtype
    guard dtype != .bool else { throw LoopError(.unsupported, "a matrix product of bool tensors") }
    let rank = kernel.result.sizes.count
    let batch = rank - 2
    m = kernel.result.sizes[batch]
    n = kernel.result.sizes[batch + 1]
    k = kernel.left.sizes[batch + 1]
    alpha = kernel.alpha
    beta = kernel.beta
    func plan(_ operand: LoopIR.Operand) -> Operand {
      Operand(
        buffer: operand.buffer.index, offset: operand.offset, rowStride: operand.strides[batch],
        columnStride: operand.strides[batch + 1], batchStrides: memory.store(Array(operand.strides[..<batch])))
    }
    left = plan(kernel.left)
    right = plan(kernel.right)
    result = plan(kernel.result)
    if result.columnStride != 1, result.rowStride == 1 {
      // The transposed product writes along rows.
      (left, right) = (right.transposed, left.transposed)
      result = result.transposed
      (m, n) = (n, m)
    }
    let sizes = Array(kernel.result.sizes[..<batch])
    batchSizes = memory.store(sizes)
    batchRank = batch
    batchCount = sizes.reduce(1, *)
    let isExact = !dtype.isFloatingPoint
    let nanoseconds = Double(m) * Double(n) * Double(k) * (isExact ? 1 : 0.05)
    partsAreColumns = n >= m
    let longer = max(m, n)
    partCount =
      batchCount >= 2 * threadCount || nanoseconds < 40_000 || longer < 64 || isExact
        || dtype.isNarrow ? 1 : threadCount
    nanosecondsPerItem = nanoseconds / Double(partCount)
    scratchByteCount =
      switch dtype {
      case .float32: BlockedProduct<SIMD4<Float>>.scratchByteCount(n: n, k: k)
      case .float64: BlockedProduct<SIMD2<Double>>.scratchByteCount(n: n, k: k)
      case .float16, .bfloat16:
        BlockedProduct<SIMD4<Float>>.scratchByteCount(n: n, k: k) + (m * k + k * n + m * n) * 4
      default: 0
      }
  }

  func run(
    _ items: Range<Int>, _ buffers: UnsafeMutablePointer<UnsafeMutableRawPointer?>, scratch: UnsafeMutableRawPointer
  ) {
    guard let leftBase = buffers[left.buffer] ?? (k == 0 ? scratch : nil),
      let rightBase = buffers[right.buffer] ?? (k == 0 ? scratch : nil), let resultBase = buffers[result.buffer]
    else { return }
    for item in items {
      let batch = item / partCount
      let part = item &- batch &* partCount
      let l = left.offset(batch, batchSizes, batchRank)
      let r = right.offset(batch, batchSizes, batchRank)
      let o = result.offset(batch, batchSizes, batchRank)
      switch dtype {
      case .float32:
        run(SIMD4<Float>.self, part, leftBase, l, rightBase, r, resultBase, o, scratch)
      case .float64:
        run(SIMD2<Double>.self, part, leftBase, l, rightBase, r, resultBase, o, scratch)
      case .float16:
        runHalf(leftBase, l, rightBase, r, resultBase, o, scratch) {
          Float(Half(bitPattern: $0))
        } narrow: {
          Half($0).bitPattern
        }
      case .bfloat16:
        runHalf(leftBase, l, rightBase, r, resultBase, o, scratch) {
          Float(BFloat16(bitPattern: $0))
        } narrow: {
          BFloat16($0).bitPattern
        }
      case .uint8: runExact(UInt8.self, leftBase, l, rightBase, r, resultBase, o)
      case .int8: runExact(Int8.self, leftBase, l, rightBase, r, resultBase, o)
      case .int16: runExact(Int16.self, leftBase, l, rightBase, r, resultBase, o)
      case .int32: runExact(Int32.self, leftBase, l, rightBase, r, resultBase, o)
      case .int64: runExact(Int64.self, leftBase, l, rightBase, r, resultBase, o)
      case .bool: break  // Refused when planned.
      }
    }
  }

  @inline(__always)
  private func run<V: MatrixVector>(
    _: V.Type, _ part: Int, _ leftBase: UnsafeMutableRawPointer, _ l: Int, _ rightBase: UnsafeMutableRawPointer,
    _ r: Int, _ resultBase: UnsafeMutableRawPointer, _ o: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    var a = left.view(leftBase.assumingMemoryBound(to: V.Scalar.self) + l)
    var b = right.view(rightBase.assumingMemoryBound(to: V.Scalar.self) + r)
    var c = result.view(resultBase.assumingMemoryBound(to: V.Scalar.self) + o)
    var (m, n) = (self.m, self.n)
    if partCount > 1 {
      // Whole tiles per part.
      let grain = partsAreColumns ? MatrixTile.vectors * V.scalarCount : MatrixTile.rows
      let total = partsAreColumns ? n : m
      let share = (total / partCount + grain) / grain * grain
      let first = min(part * share, total)
      let count = part == partCount - 1 ? total - first : min(share, total - first)
      if count <= 0 { return }
      if partsAreColumns {
        b.base = b.at(0, first)
        c.base = c.at(0, first)
        n = count
      } else {
        a.base = a.at(first, 0)
        c.base = c.at(first, 0)
        m = count
      }
    }
    let product = BlockedProduct<V>(left: a, right: b, result: c, alpha: V.Scalar(alpha), beta: V.Scalar(beta))
    if product.runUnpacked(m: m, n: n, k: k) { return }
    product.run(m: m, n: n, k: k, scratch: scratch)
  }

  /// Half precision: widened, multiplied in float32, rounded once.
  @inline(__always)
  private func runHalf(
    _ leftBase: UnsafeMutableRawPointer, _ l: Int, _ rightBase: UnsafeMutableRawPointer, _ r: Int,
    _ resultBase: UnsafeMutableRawPointer, _ o: Int, _ scratch: UnsafeMutableRawPointer, widen: (UInt16) -> Float,
    narrow: (Float) -> UInt16
  ) {
    let a = left.view(leftBase.assumingMemoryBound(to: UInt16.self) + l)
    let b = right.view(rightBase.assumingMemoryBound(to: UInt16.self) + r)
    let c = result.view(resultBase.assumingMemoryBound(to: UInt16.self) + o)
    let wideLeft = scratch.assumingMemoryBound(to: Float.self)
    let wideRight = wideLeft + m * k
    let wideResult = wideRight + k * n
    for i in 0..<m { for j in 0..<k { wideLeft[i &* k &+ j] = widen(a.at(i, j).pointee) } }
    for i in 0..<k { for j in 0..<n { wideRight[i &* n &+ j] = widen(b.at(i, j).pointee) } }
    if beta != 0 { for i in 0..<m { for j in 0..<n { wideResult[i &* n &+ j] = widen(c.at(i, j).pointee) } } }
    let product = BlockedProduct<SIMD4<Float>>(
      left: MatrixView(base: wideLeft, rowStride: k, columnStride: 1),
      right: MatrixView(base: wideRight, rowStride: n, columnStride: 1),
      result: MatrixView(base: wideResult, rowStride: n, columnStride: 1), alpha: Float(alpha), beta: Float(beta))
    if !product.runUnpacked(m: m, n: n, k: k) {
      let used = ((m * k + k * n + m * n) * 4 + 15) & ~15
      product.run(m: m, n: n, k: k, scratch: scratch + used)
    }
    for i in 0..<m { for j in 0..<n { c.at(i, j).pointee = narrow(wideResult[i &* n &+ j]) } }
  }

  /// Integers: exact, wrapping to their own width.
  @inline(__always)
  private func runExact<T: FixedWidthInteger & BitwiseCopyable>(
    _: T.Type, _ leftBase: UnsafeMutableRawPointer, _ l: Int, _ rightBase: UnsafeMutableRawPointer, _ r: Int,
    _ resultBase: UnsafeMutableRawPointer, _ o: Int
  ) {
    let a = left.view(leftBase.assumingMemoryBound(to: T.self) + l)
    let b = right.view(rightBase.assumingMemoryBound(to: T.self) + r)
    let c = result.view(resultBase.assumingMemoryBound(to: T.self) + o)
    let scales = alpha != 1 || beta != 0
    for row in 0..<m {
      for column in 0..<n {
        var sum: T = 0
        for step in 0..<k { sum = sum &+ a.at(row, step).pointee &* b.at(step, column).pointee }
        let place = c.at(row, column)
        if scales {
          // PyTorch scales integers by numbers truncated to integers.
          let (alpha, beta) = (Scalar.double(alpha).intValue, Scalar.double(beta).intValue)
          sum = T(truncatingIfNeeded: alpha) &* sum
          if self.beta != 0 { sum = sum &+ T(truncatingIfNeeded: beta) &* place.pointee }
        }
        place.pointee = sum
      }
    }
  }
}

extension MatmulPlan.Operand {
  var transposed: Self {
    var result = self
    (result.rowStride, result.columnStride) = (columnStride, rowStride)
    return result
  }

  @inline(__always)
  func offset(_ batch: Int, _ sizes: UnsafeMutablePointer<Int>, _ rank: Int) -> Int {
    var result = offset
    var rest = batch
    var dimension = rank
    while dimension > 0 {
      dimension &-= 1
      let quotient = rest / sizes[dimension]
      result &+= (rest &- quotient &* sizes[dimension]) &* batchStrides[dimension]
      rest = quotient
    }
    return result
  }

  @inline(__always)
  func view<Element>(_ base: UnsafeMutablePointer<Element>) -> MatrixView<Element> {
    MatrixView(base: base, rowStride: rowStride, columnStride: columnStride)
  }
}
