import LoopIR

// Reductions fold a tile into accumulators, one per group-level value. Sums of floats are pairwise inside a tile and go
// through four levels of partial sums between tiles, so that the error grows with the logarithm of the count, not with it.

/// Partial sums of this many tiles or rows go up one level.
private let cascade = 32

extension LoopPlan {
  func beginReduction(_ instruction: borrowing Instruction, _ tile: borrowing TileContext) {
    let plan = reductions + instruction.index
    let accumulator = tile.scratch + plan.pointee.accumulator
    let levels = plan.pointee.operation == .sum ? ReductionPlan.sumLevels : 1
    for level in 0..<levels {
      TileArithmetic.fill(
        plan.pointee.type, accumulator + level * plan.pointee.levelByteCount, plan.pointee.identityBits, tile.groupWidth
      )
    }
    if plan.pointee.operation.givesPosition {
      // No element yet.
      TileArithmetic.fill(.int64, accumulator + plan.pointee.levelByteCount, UInt64.max, tile.groupWidth)
    }
  }

  func finishReduction(_ instruction: borrowing Instruction, _ tile: borrowing TileContext) {
    let plan = reductions[instruction.index]
    let accumulator = tile.scratch + plan.accumulator
    let target = tile.scratch + instruction.target
    let n = tile.groupWidth
    switch plan.operation {
    case .argmin, .argmax:
      mapScalars(target, accumulator + plan.levelByteCount, n) { (x: Int64) in max(x, 0) }
    case .sum:
      // From the rarest level, which holds the largest sums, down.
      var level = ReductionPlan.sumLevels - 1
      TileArithmetic.convert(plan.type, plan.type, target, accumulator + level * plan.levelByteCount, n)
      while level > 0 {
        level -= 1
        TileArithmetic.binary(.add, plan.type, target, target, accumulator + level * plan.levelByteCount, n)
      }
    default: TileArithmetic.convert(plan.type, plan.type, target, accumulator, n)
    }
  }

  func accumulate(_ instruction: borrowing Instruction, _ tile: borrowing TileContext) {
    let plan = reductions[instruction.index]
    let accumulator = tile.scratch + plan.accumulator
    let value = tile.scratch + instruction.a
    switch plan.type {
    case .float32: accumulate(plan, tile, accumulator, value, Float.self, sum: pairwiseSum)
    case .float64: accumulate(plan, tile, accumulator, value, Double.self, sum: pairwiseSum)
    case .int32: accumulate(plan, tile, accumulator, value, Int32.self, sum: wrappingSum)
    case .int64: accumulate(plan, tile, accumulator, value, Int64.self, sum: wrappingSum)
    }
  }

  @inline(__always)
  private func accumulate<T: Accumulable>(
    _ plan: ReductionPlan, _ tile: borrowing TileContext, _ accumulator: UnsafeMutableRawPointer,
    _ value: UnsafeMutableRawPointer, _: T.Type, sum: (UnsafePointer<T>, Int) -> T
  ) {
    let level0 = accumulator.assumingMemoryBound(to: T.self)
    let values = UnsafePointer(value.assumingMemoryBound(to: T.self))
    switch plan.operation {
    case .sum where shape == .rows:
      for group in 0..<tile.groupCount {
        level0[group] = level0[group].plus(sum(values + group &* tile.groupLength, tile.groupLength))
      }
      promote(plan, accumulator, tile.tileNumber &+ 1, tile.groupWidth, T.self)
    case .sum:
      let width = tile.columnCount
      for row in 0..<tile.rowCount {
        let source = values + row &* width
        var i = 0
        while i < width {
          level0[i] = level0[i].plus(source[i])
          i &+= 1
        }
        promote(plan, accumulator, tile.position &+ row &+ 1, width, T.self)
      }
    case .product: fold(tile, level0, values) { $0.times($1) }
    case .minimum, .all: fold(tile, level0, values) { T.lesser($0, $1) }
    case .maximum, .any: fold(tile, level0, values) { T.greater($0, $1) }
    case .argmin:
      let positions = (accumulator + plan.levelByteCount).assumingMemoryBound(to: Int64.self)
      findPosition(tile, level0, positions, values) { $0 < $1 || $0.isNaNValue }
    case .argmax:
      let positions = (accumulator + plan.levelByteCount).assumingMemoryBound(to: Int64.self)
      findPosition(tile, level0, positions, values) { $0 > $1 || $0.isNaNValue }
    }
  }

  @inline(__always)
  private func promote<T: Accumulable>(
    _ plan: ReductionPlan, _ accumulator: UnsafeMutableRawPointer, _ count: Int, _ width: Int, _: T.Type
  ) {
    var period = cascade
    for level in 1..<ReductionPlan.sumLevels {
      guard count % period == 0 else { return }
      let lower = (accumulator + (level - 1) * plan.levelByteCount).assumingMemoryBound(to: T.self)
      let upper = (accumulator + level * plan.levelByteCount).assumingMemoryBound(to: T.self)
      for i in 0..<width {
        upper[i] = upper[i].plus(lower[i])
        lower[i] = T.zeroValue
      }
      period *= cascade
    }
  }

  @inline(__always)
  private func fold<T: Accumulable>(
    _ tile: borrowing TileContext, _ result: UnsafeMutablePointer<T>, _ values: UnsafePointer<T>, _ body: (T, T) -> T
  ) {
    if shape == .rows {
      let length = tile.groupLength
      for group in 0..<tile.groupCount {
        let source = values + group &* length
        // Four chains, so that one operation's latency does not set the pace.
        var (a, b, c, d) = (result[group], result[group], result[group], result[group])
        var i = 0
        if length >= 8 {
          (b, c, d) = (source[0], source[1], source[2])
          a = body(a, source[3])
          i = 4
          while i &+ 4 <= length {
            a = body(a, source[i])
            b = body(b, source[i &+ 1])
            c = body(c, source[i &+ 2])
            d = body(d, source[i &+ 3])
            i &+= 4
          }
          a = body(body(a, b), body(c, d))
        }
        while i < length {
          a = body(a, source[i])
          i &+= 1
        }
        result[group] = a
      }
    } else {
      let width = tile.columnCount
      for row in 0..<tile.rowCount {
        let source = values + row &* width
        var i = 0
        while i < width {
          result[i] = body(result[i], source[i])
          i &+= 1
        }
      }
    }
  }

  @inline(__always)
  private func findPosition<T: Accumulable>(
    _ tile: borrowing TileContext, _ best: UnsafeMutablePointer<T>, _ positions: UnsafeMutablePointer<Int64>,
    _ values: UnsafePointer<T>, isBetter: (T, T) -> Bool
  ) {
    @inline(__always) func consider(_ value: T, _ group: Int, _ position: Int) {
      if positions[group] < 0 || (isBetter(value, best[group]) && !best[group].isNaNValue) {
        best[group] = value
        positions[group] = Int64(position)
      }
    }
    if shape == .rows {
      for group in 0..<tile.groupCount {
        for i in 0..<tile.groupLength { consider(values[group &* tile.groupLength &+ i], group, tile.position &+ i) }
      }
    } else {
      for row in 0..<tile.rowCount {
        for i in 0..<tile.columnCount { consider(values[row &* tile.columnCount &+ i], i, tile.position &+ row) }
      }
    }
  }
}

private func pairwiseSum(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
  if count > 512 {
    let half = (count / 2 + 31) & ~31
    return pairwiseSum(values, half) + pairwiseSum(values + half, count - half)
  }
  let raw = UnsafeRawPointer(values)
  var (a, b) = (FloatVector.zero, FloatVector.zero)
  var i = 0
  while i &+ 16 <= count {
    a += raw.loadUnaligned(fromByteOffset: i &* 4, as: FloatVector.self)
    b += raw.loadUnaligned(fromByteOffset: i &* 4 &+ 32, as: FloatVector.self)
    i &+= 16
  }
  a += b
  let quarter = a.lowHalf + a.highHalf
  var result = (quarter[0] + quarter[1]) + (quarter[2] + quarter[3])
  while i < count {
    result += values[i]
    i &+= 1
  }
  return result
}

private func pairwiseSum(_ values: UnsafePointer<Double>, _ count: Int) -> Double {
  if count > 512 {
    let half = (count / 2 + 31) & ~31
    return pairwiseSum(values, half) + pairwiseSum(values + half, count - half)
  }
  let raw = UnsafeRawPointer(values)
  var (a, b) = (DoubleVector.zero, DoubleVector.zero)
  var i = 0
  while i &+ 8 <= count {
    a += raw.loadUnaligned(fromByteOffset: i &* 8, as: DoubleVector.self)
    b += raw.loadUnaligned(fromByteOffset: i &* 8 &+ 32, as: DoubleVector.self)
    i &+= 8
  }
  a += b
  var result = (a[0] + a[1]) + (a[2] + a[3])
  while i < count {
    result += values[i]
    i &+= 1
  }
  return result
}

private func wrappingSum<T: FixedWidthInteger>(_ values: UnsafePointer<T>, _ count: Int) -> T {
  var result: T = 0
  for i in 0..<count { result = result &+ values[i] }
  return result
}

extension ReductionPlan {
  /// What folding nothing gives.
  fileprivate var identityBits: UInt64 {
    let value: Double? =
      switch operation {
      case .sum, .any: 0
      case .product, .all: 1
      case .minimum, .argmin: nil
      case .maximum, .argmax: nil
      }
    let isMinimum = operation == .minimum || operation == .argmin
    switch type {
    case .float32: return UInt64(Float(value ?? (isMinimum ? .infinity : -.infinity)).bitPattern)
    case .float64: return (value ?? (isMinimum ? .infinity : -.infinity)).bitPattern
    case .int32: return UInt64(UInt32(bitPattern: value.map { Int32($0) } ?? (isMinimum ? .max : .min)))
    case .int64: return UInt64(bitPattern: value.map { Int64($0) } ?? (isMinimum ? .max : .min))
    }
  }
}
