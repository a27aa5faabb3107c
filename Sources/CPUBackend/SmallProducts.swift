// Products too small, or too thin, for packing to pay.

extension BlockedProduct {
  /// Runs the product without packing where that is the better way, and says whether it did.
  func runUnpacked(m: Int, n: Int, k: Int) -> Bool {
    if k == 0 { return false }
    let isSmall = m * n * k <= 4096
    if left.columnStride == 1, right.rowStride == 1, n == 1 || m == 1 || (isSmall && k >= 8) {
      for row in 0..<m {
        for column in 0..<n { write(dot(left.at(row, 0), right.at(0, column), k), result.at(row, column)) }
      }
      return true
    }
    if right.columnStride == 1, result.columnStride == 1, m <= 3 || isSmall {
      for row in 0..<m { multiplyRow(row, n, k) }
      return true
    }
    if isSmall {
      for row in 0..<m {
        for column in 0..<n {
          var sum: V.Scalar = 0
          for step in 0..<k { sum += left.at(row, step).pointee * right.at(step, column).pointee }
          write(sum, result.at(row, column))
        }
      }
      return true
    }
    return false
  }

  @inline(__always)
  private func write(_ value: V.Scalar, _ place: UnsafeMutablePointer<V.Scalar>) {
    place.pointee = beta == 0 ? alpha * value : alpha * value + beta * place.pointee
  }

  @inline(__always)
  private func dot(_ a: UnsafeMutablePointer<V.Scalar>, _ b: UnsafeMutablePointer<V.Scalar>, _ k: Int) -> V.Scalar {
    let (a, b) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
    let size = MemoryLayout<V>.size
    var (s0, s1, s2, s3) = (V.zero, V.zero, V.zero, V.zero)
    let lanes = V.scalarCount
    var i = 0
    @inline(__always) func product(_ offset: Int) -> V {
      V.times(
        a.loadUnaligned(fromByteOffset: offset, as: V.self), b.loadUnaligned(fromByteOffset: offset, as: V.self))
    }
    while i &+ 4 &* lanes <= k {
      let offset = i &* MemoryLayout<V.Scalar>.size
      s0 = V.plus(s0, product(offset))
      s1 = V.plus(s1, product(offset &+ size))
      s2 = V.plus(s2, product(offset &+ 2 &* size))
      s3 = V.plus(s3, product(offset &+ 3 &* size))
      i &+= 4 &* lanes
    }
    let total = V.plus(V.plus(s0, s1), V.plus(s2, s3))
    var sum: V.Scalar = 0
    for lane in 0..<lanes { sum += total[lane] }
    let (x, y) = (a.assumingMemoryBound(to: V.Scalar.self), b.assumingMemoryBound(to: V.Scalar.self))
    while i < k {
      sum += x[i] * y[i]
      i &+= 1
    }
    return sum
  }

  /// One row of the result: 4 vectors of columns at a time, then single columns.
  @inline(__always)
  private func multiplyRow(_ row: Int, _ n: Int, _ k: Int) {
    let lanes = V.scalarCount
    let size = MemoryLayout<V>.size
    let leftRow = left.at(row, 0)
    var column = 0
    while column &+ 4 &* lanes <= n {
      var (s0, s1, s2, s3) = (V.zero, V.zero, V.zero, V.zero)
      var source = UnsafeRawPointer(right.at(0, column))
      let step = right.rowStride &* MemoryLayout<V.Scalar>.size
      for i in 0..<k {
        let a = V(repeating: leftRow[i &* left.columnStride])
        s0 = V.plus(s0, V.times(a, source.loadUnaligned(as: V.self)))
        s1 = V.plus(s1, V.times(a, source.loadUnaligned(fromByteOffset: size, as: V.self)))
        s2 = V.plus(s2, V.times(a, source.loadUnaligned(fromByteOffset: 2 &* size, as: V.self)))
        s3 = V.plus(s3, V.times(a, source.loadUnaligned(fromByteOffset: 3 &* size, as: V.self)))
        source += step
      }
      for lane in 0..<lanes {
        write(s0[lane], result.at(row, column &+ lane))
        write(s1[lane], result.at(row, column &+ lanes &+ lane))
        write(s2[lane], result.at(row, column &+ 2 &* lanes &+ lane))
        write(s3[lane], result.at(row, column &+ 3 &* lanes &+ lane))
      }
      column &+= 4 &* lanes
    }
    while column &+ lanes <= n {
      var sum = V.zero
      for i in 0..<k {
        let a = V(repeating: leftRow[i &* left.columnStride])
        sum = V.plus(sum, V.times(a, UnsafeRawPointer(right.at(i, column)).loadUnaligned(as: V.self)))
      }
      for lane in 0..<lanes { write(sum[lane], result.at(row, column &+ lane)) }
      column &+= lanes
    }
    while column < n {
      var sum: V.Scalar = 0
      for i in 0..<k { sum += leftRow[i &* left.columnStride] * right.at(i, column).pointee }
      write(sum, result.at(row, column))
      column &+= 1
    }
  }
}
