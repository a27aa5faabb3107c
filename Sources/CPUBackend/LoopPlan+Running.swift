import LoopIR
import TensorCore

extension LoopPlan {
  /// Runs some of the kernel's work items, in order.
  ///
  /// - Returns: False where a check refused an index; the tile then says which.
  func run(_ items: Range<Int>, _ tile: inout TileContext) -> Bool {
    tile.groupWidth = shape == .columns ? tileColumns : tileGroups
    tile.elementCount = max(tileRows * tileColumns, tile.groupWidth)
    if !execute(segments, &tile) { return false }
    switch shape {
    case .elementwise:
      for item in items {
        setTile(item, &tile)
        if !execute(segments + 2, &tile) { return false }
      }
    case .rows:
      for item in items {
        let first = item &* tileGroups
        tile.groupStart = first
        tile.groupCount = min(tileGroups, groupCount &- first)
        tile.groupWidth = tile.groupCount
        if isSinglePass {
          tile.rowStart = first &* groupRowCount
          tile.rowCount = tile.groupCount &* groupRowCount
          tile.columnStart = 0
          tile.columnCount = columnCount
          tile.groupLength = groupRowCount &* columnCount
          tile.elementCount = tile.rowCount &* columnCount
          tile.position = 0
          tile.tileNumber = 0
          for segment in 1..<segmentCount where !execute(segments + segment, &tile) { return false }
        } else if !runGroup(&tile) {
          return false
        }
      }
    case .columns:
      let chunks = (columnCount &+ tileColumns &- 1) / tileColumns
      for item in items {
        tile.groupStart = item / chunks
        tile.columnStart = (item &- tile.groupStart &* chunks) &* tileColumns
        tile.columnCount = min(tileColumns, columnCount &- tile.columnStart)
        tile.groupCount = 1
        tile.groupWidth = tile.columnCount
        if !runGroup(&tile) { return false }
      }
    }
    return true
  }

  /// The tile of an elementwise kernel's work item.
  @inline(__always)
  private func setTile(_ item: Int, _ tile: inout TileContext) {
    if tileColumns >= columnCount {
      tile.rowStart = item &* tileRows
      tile.rowCount = min(tileRows, rowCount &- tile.rowStart)
      tile.columnCount = columnCount
    } else {
      let chunks = (columnCount &+ tileColumns &- 1) / tileColumns
      tile.rowStart = item / chunks
      tile.rowCount = 1
      tile.columnStart = (item &- tile.rowStart &* chunks) &* tileColumns
      tile.columnCount = min(tileColumns, columnCount &- tile.columnStart)
    }
    tile.elementCount = tile.rowCount &* tile.columnCount
  }

  /// Every stage of one group (or one range of columns), tile by tile.
  private func runGroup(_ tile: inout TileContext) -> Bool {
    let firstRow = tile.groupStart &* groupRowCount
    for segment in 1..<segmentCount {
      let steps = segments + segment
      if steps.pointee.count == 0 { continue }
      if segment & 1 == 1 {
        // Group work: where a column plan's accesses start.
        tile.rowStart = firstRow
        if !execute(steps, &tile) { return false }
        continue
      }
      tile.tileNumber = 0
      var row = 0
      while row < groupRowCount {
        tile.rowStart = firstRow &+ row
        tile.rowCount = min(tileRows, groupRowCount &- row)
        if shape == .columns {
          tile.elementCount = tile.rowCount &* tile.columnCount
          tile.position = row
          if !execute(steps, &tile) { return false }
        } else {
          var column = 0
          while column < columnCount {
            tile.columnStart = column
            tile.columnCount = min(tileColumns, columnCount &- column)
            tile.elementCount = tile.rowCount &* tile.columnCount
            tile.groupLength = tile.elementCount
            tile.position = row &* columnCount &+ column
            if !execute(steps, &tile) { return false }
            tile.tileNumber &+= 1
            column &+= tileColumns
          }
        }
        row &+= tileRows
      }
    }
    return true
  }

  private func execute(_ segment: UnsafeMutablePointer<Segment>, _ tile: inout TileContext) -> Bool {
    let instructions = segment.pointee.instructions
    for i in 0..<segment.pointee.count {
      let instruction = instructions + i
      let scratch = tile.scratch
      let target = scratch + instruction.pointee.target
      let a = scratch + instruction.pointee.a
      let n = instruction.pointee.isGroupLevel ? tile.groupWidth : tile.elementCount
      switch instruction.pointee.opcode {
      case .constant: TileArithmetic.fill(instruction.pointee.type, target, instruction.pointee.bits, n)
      case .load: load(instruction.pointee, tile)
      case .unary: TileArithmetic.unary(instruction.pointee.unary, instruction.pointee.type, target, a, n)
      case .binary:
        let b = scratch + instruction.pointee.b
        TileArithmetic.binary(instruction.pointee.binary, instruction.pointee.type, target, a, b, n)
      case .select:
        let (b, c) = (scratch + instruction.pointee.b, scratch + instruction.pointee.c)
        TileArithmetic.select(instruction.pointee.type, target, a, b, c, n)
      case .convert:
        if instruction.pointee.dtype == .bool {
          TileArithmetic.truth(instruction.pointee.type, target, a, n)
        } else {
          TileArithmetic.convert(instruction.pointee.type, instruction.pointee.targetType, target, a, n)
        }
      case .round: TileArithmetic.round(instruction.pointee.dtype, target, a, n)
      case .spread: TileArithmetic.spread(instruction.pointee.type, target, a, tile, columns: shape == .columns)
      case .beginReduction: beginReduction(instruction.pointee, tile)
      case .accumulate: accumulate(instruction.pointee, tile)
      case .finishReduction: finishReduction(instruction.pointee, tile)
      case .store: store(instruction.pointee, tile)
      case .check: if !check(instruction.pointee, &tile) { return false }
      }
    }
    return true
  }
}
