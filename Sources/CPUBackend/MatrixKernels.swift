// The innermost loops of matrix products. Baseline x86-64 has sixteen 16-byte registers and no fused multiply-add: twelve
// accumulators (6 rows by 2 vectors), two vectors of the right matrix and two temporaries fill them. Rows of the left
// matrix are packed with each number repeated across a vector, so that no shuffles compete with the arithmetic.

/// A vector of a matrix product, with its arithmetic spelled out for each type so that it is one instruction each.
protocol MatrixVector: SIMD, BitwiseCopyable where Scalar: BinaryFloatingPoint & BitwiseCopyable {
  static func times(_ a: Self, _ b: Self) -> Self
  static func plus(_ a: Self, _ b: Self) -> Self
}

extension SIMD4<Float>: MatrixVector {
  @inline(__always) static func times(_ a: Self, _ b: Self) -> Self { a * b }
  @inline(__always) static func plus(_ a: Self, _ b: Self) -> Self { a + b }
}

extension SIMD2<Double>: MatrixVector {
  @inline(__always) static func times(_ a: Self, _ b: Self) -> Self { a * b }
  @inline(__always) static func plus(_ a: Self, _ b: Self) -> Self { a + b }
}

enum MatrixTile {
  static let rows = 6
  static let vectors = 2
}

/// `tile = left · right` for one tile: `left` holds 6 repeated vectors per step of k, `right` 2 vectors.
@inline(__always)
func multiplyTile<V: MatrixVector>(
  _ k: Int, _ left: UnsafePointer<V>, _ right: UnsafePointer<V>, _ tile: UnsafeMutablePointer<V>
) {
  var (c00, c01, c10, c11, c20, c21) = (V.zero, V.zero, V.zero, V.zero, V.zero, V.zero)
  var (c30, c31, c40, c41, c50, c51) = (V.zero, V.zero, V.zero, V.zero, V.zero, V.zero)
  var a = left
  var b = right
  let end = left + k &* 6
  while a < end {
    let (b0, b1) = (b[0], b[1])
    let a0 = a[0]
    c00 = V.plus(c00, V.times(a0, b0))
    c01 = V.plus(c01, V.times(a0, b1))
    let a1 = a[1]
    c10 = V.plus(c10, V.times(a1, b0))
    c11 = V.plus(c11, V.times(a1, b1))
    let a2 = a[2]
    c20 = V.plus(c20, V.times(a2, b0))
    c21 = V.plus(c21, V.times(a2, b1))
    let a3 = a[3]
    c30 = V.plus(c30, V.times(a3, b0))
    c31 = V.plus(c31, V.times(a3, b1))
    let a4 = a[4]
    c40 = V.plus(c40, V.times(a4, b0))
    c41 = V.plus(c41, V.times(a4, b1))
    let a5 = a[5]
    c50 = V.plus(c50, V.times(a5, b0))
    c51 = V.plus(c51, V.times(a5, b1))
    a += 6
    b += 2
  }
  (tile[0], tile[1], tile[2], tile[3]) = (c00, c01, c10, c11)
  (tile[4], tile[5], tile[6], tile[7]) = (c20, c21, c30, c31)
  (tile[8], tile[9], tile[10], tile[11]) = (c40, c41, c50, c51)
}

/// A matrix in memory.
struct MatrixView<Scalar> {
  var base: UnsafeMutablePointer<Scalar>
  var rowStride: Int
  var columnStride: Int

  @inline(__always) func at(_ row: Int, _ column: Int) -> UnsafeMutablePointer<Scalar> {
    base + (row &* rowStride &+ column &* columnStride)
  }

  var transposed: Self { Self(base: base, rowStride: columnStride, columnStride: rowStride) }
}

/// `result = alpha · left @ right + beta · result`, blocked and packed.
struct BlockedProduct<V: MatrixVector> {
  /// Steps of k per block: a packed strip of the left matrix (6 rows) then stays in the first-level cache.
  static var depth: Int { 256 }
  /// Columns per block: a packed block of the right matrix then stays in the second-level cache.
  static var blockColumns: Int { 2048 / MemoryLayout<V.Scalar>.size }

  /// Scratch for packing.
  static func scratchByteCount(n: Int, k: Int) -> Int {
    let depth = min(k, Self.depth)
    let tileColumns = MatrixTile.vectors * V.scalarCount
    let columns = (min(n, blockColumns) + tileColumns - 1) / tileColumns * tileColumns
    return (depth * MatrixTile.rows + 2 * MatrixTile.rows) * MemoryLayout<V>.size
      + depth * columns * MemoryLayout<V.Scalar>.size + 64
  }

  let left: MatrixView<V.Scalar>
  let right: MatrixView<V.Scalar>
  let result: MatrixView<V.Scalar>
  let alpha: V.Scalar
  let beta: V.Scalar

  func run(m: Int, n: Int, k: Int, scratch: UnsafeMutableRawPointer) {
    if k == 0 { return scale(m, n) }
    let tileColumns = MatrixTile.vectors * V.scalarCount
    let strip = scratch.assumingMemoryBound(to: V.self)
    let tile = strip + min(k, Self.depth) * MatrixTile.rows
    let block = tile + 2 * MatrixTile.rows
    var column = 0
    while column < n {
      let columns = min(Self.blockColumns, n - column)
      var step = 0
      while step < k {
        let steps = min(Self.depth, k - step)
        packRight(block, step, steps, column, columns)
        var row = 0
        while row < m {
          let rows = min(MatrixTile.rows, m - row)
          packLeft(strip, row, rows, step, steps)
          var c = 0
          while c < columns {
            let panel = block + c / V.scalarCount * steps
            multiplyTile(steps, UnsafePointer(strip), UnsafePointer(panel), tile)
            store(
              tile, row, min(rows, m - row), column + c, min(tileColumns, columns - c), isFirst: step == 0)
            c += tileColumns
          }
          row += MatrixTile.rows
        }
        step += steps
      }
      column += columns
    }
  }

  private func scale(_ m: Int, _ n: Int) {
    for row in 0..<m {
      for column in 0..<n {
        let place = result.at(row, column)
        place.pointee = beta == 0 ? 0 : beta * place.pointee
      }
    }
  }

  @inline(__always)
  private func packLeft(_ strip: UnsafeMutablePointer<V>, _ row: Int, _ rows: Int, _ step: Int, _ steps: Int) {
    for i in 0..<MatrixTile.rows {
      var target = strip + i
      if i < rows {
        var source = left.at(row &+ i, step)
        let stride = left.columnStride
        for _ in 0..<steps {
          target.pointee = V(repeating: source.pointee)
          source += stride
          target += MatrixTile.rows
        }
      } else {
        for _ in 0..<steps {
          target.pointee = V.zero
          target += MatrixTile.rows
        }
      }
    }
  }

  @inline(__always)
  private func packRight(_ block: UnsafeMutablePointer<V>, _ step: Int, _ steps: Int, _ column: Int, _ columns: Int) {
    let width = MatrixTile.vectors * V.scalarCount
    var c = 0
    while c < columns {
      let target = UnsafeMutableRawPointer(block + c / V.scalarCount * steps).assumingMemoryBound(to: V.Scalar.self)
      let used = min(width, columns - c)
      if used == width, right.columnStride == 1 {
        let vectors = UnsafeMutableRawPointer(target).assumingMemoryBound(to: V.self)
        for k in 0..<steps {
          let source = UnsafeRawPointer(right.at(step &+ k, column &+ c))
          vectors[2 &* k] = source.loadUnaligned(as: V.self)
          vectors[2 &* k &+ 1] = source.loadUnaligned(fromByteOffset: MemoryLayout<V>.size, as: V.self)
        }
      } else {
        for j in 0..<width {
          var place = target + j
          if j < used {
            var source = right.at(step, column &+ c &+ j)
            for _ in 0..<steps {
              place.pointee = source.pointee
              source += right.rowStride
              place += width
            }
          } else {
            for _ in 0..<steps {
              place.pointee = 0
              place += width
            }
          }
        }
      }
      c += width
    }
  }

  @inline(__always)
  private func store(
    _ tile: UnsafeMutablePointer<V>, _ row: Int, _ rows: Int, _ column: Int, _ columns: Int, isFirst: Bool
  ) {
    let replaces = isFirst && beta == 0
    let factor: V.Scalar = isFirst ? beta : 1
    if result.columnStride == 1, columns == MatrixTile.vectors * V.scalarCount {
      let (alphas, factors) = (V(repeating: alpha), V(repeating: factor))
      for i in 0..<rows {
        let place = UnsafeMutableRawPointer(result.at(row &+ i, column))
        for v in 0..<MatrixTile.vectors {
          var value = V.times(tile[2 &* i &+ v], alphas)
          let offset = v &* MemoryLayout<V>.size
          if !replaces {
            value = V.plus(value, V.times(place.loadUnaligned(fromByteOffset: offset, as: V.self), factors))
          }
          place.storeBytes(of: value, toByteOffset: offset, as: V.self)
        }
      }
    } else {
      let scalars = UnsafeMutableRawPointer(tile).assumingMemoryBound(to: V.Scalar.self)
      for i in 0..<rows {
        for j in 0..<columns {
          let place = result.at(row &+ i, column &+ j)
          let value = scalars[i &* MatrixTile.vectors &* V.scalarCount &+ j] * alpha
          place.pointee = replaces ? value : value + factor * place.pointee
        }
      }
    }
  }
}
