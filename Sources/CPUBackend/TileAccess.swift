import LoopIR
import TensorCore

extension LoopPlan {
  /// Calls `body` with each run of the access in the tile: where it starts in the register, where in the buffer, how many
  /// elements it has and how far apart they are there.
  @inline(__always)
  func forEachRun(
    _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext,
    _ body: (_ first: Int, _ position: Int, _ count: Int, _ stride: Int) -> Void
  ) {
    let plan = access.pointee
    if plan.isUniform { return body(0, plan.offset, tile.elementCount, 0) }
    let overGroups = plan.isGroupLevel && shape == .rows
    let dimensions = overGroups ? groupDimensionCount : rowDimensionCount
    let start = overGroups ? tile.groupStart : tile.rowStart
    let rows = overGroups ? tile.groupCount : plan.isGroupLevel ? 1 : tile.rowCount
    let columns = overGroups ? 1 : tile.columnCount
    let base = plan.offset + (overGroups ? 0 : tile.columnStart * plan.columnStride)
    if dimensions == 0 { return body(0, base, columns, plan.columnStride) }
    if dimensions == 1 {
      let stride = plan.strides[0]
      let first = base + start * stride
      if rows == 1 { return body(0, first, columns, plan.columnStride) }
      if columns == 1 { return body(0, first, rows, stride) }
      if stride == columns * plan.columnStride { return body(0, first, rows * columns, plan.columnStride) }
      for row in 0..<rows { body(row &* columns, first &+ row &* stride, columns, plan.columnStride) }
      return
    }
    forEachRow(plan, dimensions, start: start, count: rows) { row, position in
      body(row &* columns, base &+ position, columns, plan.columnStride)
    }
  }

  /// Walks rows in row-major order over the first `dimensions` row dimensions.
  @inline(__always)
  private func forEachRow(
    _ plan: AccessPlan, _ dimensions: Int, start: Int, count: Int, _ body: (_ row: Int, _ position: Int) -> Void
  ) {
    // The last dimension in a loop of its own; the others found by division at each of its ends.
    let last = dimensions - 1
    let lastSize = rowSizes[last]
    let lastStride = plan.strides[last]
    var row = 0
    while row < count {
      var rest = (start &+ row) / lastSize
      let coordinate = (start &+ row) &- rest &* lastSize
      var position = coordinate &* lastStride
      var dimension = last
      while dimension > 0 {
        dimension &-= 1
        let quotient = rest / rowSizes[dimension]
        position &+= (rest &- quotient &* rowSizes[dimension]) &* plan.strides[dimension]
        rest = quotient
      }
      let run = min(lastSize &- coordinate, count &- row)
      for _ in 0..<run {
        body(row, position)
        row &+= 1
        position &+= lastStride
      }
    }
  }

  /// Calls `body` with the buffer position of each element of an access with indirections.
  @inline(__always)
  func forEachElement(
    _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext,
    _ body: (_ i: Int, _ position: Int) -> Void
  ) {
    let scratch = tile.scratch
    let count = access.pointee.indirectionCount
    let indirections = access.pointee.indirections
    forEachRun(access, tile) { first, position, length, stride in
      for i in 0..<length {
        var place = position &+ i &* stride
        for k in 0..<count {
          let index = (scratch + indirections[k].register).assumingMemoryBound(to: Int64.self)[first &+ i]
          place &+= Int(index) &* indirections[k].stride
        }
        body(first &+ i, place)
      }
    }
  }

  // MARK: Loads

  func load(_ instruction: borrowing Instruction, _ tile: borrowing TileContext) {
    let access = accesses + instruction.index
    let target = tile.scratch + instruction.target
    if access.pointee.isCoordinate {
      let output = target.assumingMemoryBound(to: Int64.self)
      forEachRun(access, tile) { first, position, count, stride in
        for i in 0..<count { output[first &+ i] = Int64(position &+ i &* stride) }
      }
      return
    }
    guard let base = tile.buffers[access.pointee.buffer] else { return }
    switch access.pointee.dtype {
    case .float32: load(Float.self, access, tile, base, target)
    case .float64: load(Double.self, access, tile, base, target)
    case .int64: load(Int64.self, access, tile, base, target)
    case .int32: load(Int32.self, access, tile, base, target)
    case .int16: load(Int16.self, access, tile, base, target)
    case .int8: load(Int8.self, access, tile, base, target)
    case .uint8: load(UInt8.self, access, tile, base, target)
    case .bool: load(BoolByte.self, access, tile, base, target)
    case .float16: load(Half.self, access, tile, base, target)
    case .bfloat16: load(BFloat16.self, access, tile, base, target)
    }
  }

  @inline(never)
  private func load<Element: MemoryElement>(
    _: Element.Type, _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext,
    _ base: UnsafeMutableRawPointer, _ target: UnsafeMutableRawPointer
  ) {
    let source = base.assumingMemoryBound(to: Element.self)
    let output = target.assumingMemoryBound(to: Element.Wide.self)
    if access.pointee.indirectionCount > 0 {
      return forEachElement(access, tile) { i, position in output[i] = source[position].wide }
    }
    forEachRun(access, tile) { first, position, count, stride in
      copyRun(output + first, source + position, count, stride)
    }
  }

  // MARK: Stores

  func store(_ instruction: borrowing Instruction, _ tile: borrowing TileContext) {
    let access = accesses + instruction.index
    guard let base = tile.buffers[access.pointee.buffer] else { return }
    let value = tile.scratch + instruction.a
    switch access.pointee.dtype {
    case .float32: store(Float.self, access, tile, base, value)
    case .float64: store(Double.self, access, tile, base, value)
    case .int64: store(Int64.self, access, tile, base, value)
    case .int32: store(Int32.self, access, tile, base, value)
    case .int16: store(Int16.self, access, tile, base, value)
    case .int8: store(Int8.self, access, tile, base, value)
    case .uint8: store(UInt8.self, access, tile, base, value)
    case .bool: store(BoolByte.self, access, tile, base, value)
    case .float16: store(Half.self, access, tile, base, value)
    case .bfloat16: store(BFloat16.self, access, tile, base, value)
    }
  }

  @inline(never)
  private func store<Element: MemoryElement>(
    _: Element.Type, _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext,
    _ base: UnsafeMutableRawPointer, _ value: UnsafeMutableRawPointer
  ) {
    let output = base.assumingMemoryBound(to: Element.self)
    let value = value.assumingMemoryBound(to: Element.Wide.self)
    switch access.pointee.mode {
    case .assign where access.pointee.indirectionCount == 0:
      forEachRun(access, tile) { first, position, count, stride in
        storeRun(output + position, value + first, count, stride)
      }
    case .assign: combine(access, tile, output, value) { $1 }
    case .accumulate: combine(access, tile, output, value, Element.sum)
    case .multiply: combine(access, tile, output, value, Element.product)
    case .minimum: combine(access, tile, output, value, Element.Wide.lesser)
    case .maximum: combine(access, tile, output, value, Element.Wide.greater)
    }
  }

  @inline(__always)
  private func combine<Element: MemoryElement>(
    _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext,
    _ output: UnsafeMutablePointer<Element>, _ value: UnsafeMutablePointer<Element.Wide>,
    _ body: (Element.Wide, Element.Wide) -> Element.Wide
  ) {
    forEachElement(access, tile) { i, position in
      output[position] = Element(narrowing: body(output[position].wide, value[i]))
    }
  }

  /// Whether every index that a check looks at is in range; notes the first that is not.
  func check(_ instruction: borrowing Instruction, _ tile: inout TileContext) -> Bool {
    let indices = (tile.scratch + instruction.a).assumingMemoryBound(to: Int64.self)
    let size = UInt64(instruction.bits)
    let count = instruction.isGroupLevel ? 1 : tile.elementCount
    for i in 0..<count where UInt64(bitPattern: indices[i]) >= size {
      tile.fault = Int(indices[i])
      tile.faultSize = Int(size)
      tile.faultBuffer = instruction.index
      return false
    }
    return true
  }
}

@inline(__always)
private func copyRun<Element: MemoryElement>(
  _ output: UnsafeMutablePointer<Element.Wide>, _ source: UnsafeMutablePointer<Element>, _ count: Int, _ stride: Int
) {
  var i = 0
  if stride == 1 {
    while i < count {
      output[i] = source[i].wide
      i &+= 1
    }
  } else if stride == 0 {
    let value = source[0].wide
    while i < count {
      output[i] = value
      i &+= 1
    }
  } else {
    var place = 0
    while i < count {
      output[i] = source[place].wide
      place &+= stride
      i &+= 1
    }
  }
}

@inline(__always)
private func storeRun<Element: MemoryElement>(
  _ output: UnsafeMutablePointer<Element>, _ value: UnsafeMutablePointer<Element.Wide>, _ count: Int, _ stride: Int
) {
  var i = 0
  if stride == 1 {
    while i < count {
      output[i] = Element(narrowing: value[i])
      i &+= 1
    }
  } else {
    var place = 0
    while i < count {
      output[place] = Element(narrowing: value[i])
      place &+= stride
      i &+= 1
    }
  }
}
