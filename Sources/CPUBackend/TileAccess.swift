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
    case .float32: load(access, tile, base, target) { (x: Float) in x }
    case .float64: load(access, tile, base, target) { (x: Double) in x }
    case .int64: load(access, tile, base, target) { (x: Int64) in x }
    case .int32: load(access, tile, base, target) { (x: Int32) in x }
    case .int16: load(access, tile, base, target) { (x: Int16) in Int32(x) }
    case .int8: load(access, tile, base, target) { (x: Int8) in Int32(x) }
    case .uint8: load(access, tile, base, target) { (x: UInt8) in Int32(x) }
    case .bool: load(access, tile, base, target) { (x: UInt8) in Int32(x == 0 ? 0 : 1) }
    case .float16: load(access, tile, base, target) { (x: UInt16) in Float(Half(bitPattern: x)) }
    case .bfloat16: load(access, tile, base, target) { (x: UInt16) in Float(BFloat16(bitPattern: x)) }
    }
  }

  @inline(__always)
  private func load<Element: BitwiseCopyable, Value: BitwiseCopyable>(
    _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext, _ base: UnsafeMutableRawPointer,
    _ target: UnsafeMutableRawPointer, _ convert: (Element) -> Value
  ) {
    let source = base.assumingMemoryBound(to: Element.self)
    let output = target.assumingMemoryBound(to: Value.self)
    if access.pointee.indirectionCount > 0 {
      return forEachElement(access, tile) { i, position in output[i] = convert(source[position]) }
    }
    forEachRun(access, tile) { first, position, count, stride in
      let output = output + first
      let source = source + position
      if stride == 1 {
        var i = 0
        while i < count {
          output[i] = convert(source[i])
          i &+= 1
        }
      } else if stride == 0 {
        let value = convert(source[0])
        var i = 0
        while i < count {
          output[i] = value
          i &+= 1
        }
      } else {
        var i = 0
        var place = 0
        while i < count {
          output[i] = convert(source[place])
          place &+= stride
          i &+= 1
        }
      }
    }
  }

  // MARK: Stores

  func store(_ instruction: borrowing Instruction, _ tile: borrowing TileContext) {
    let access = accesses + instruction.index
    guard let base = tile.buffers[access.pointee.buffer] else { return }
    let value = tile.scratch + instruction.a
    switch access.pointee.dtype {
    case .float32:
      store(access, tile, base, value) { (x: Float) in
        x
      } load: {
        $0
      } add: {
        $0 + $1
      }
    case .float64:
      store(access, tile, base, value) { (x: Double) in
        x
      } load: {
        $0
      } add: {
        $0 + $1
      }
    case .int64:
      store(access, tile, base, value) { (x: Int64) in
        x
      } load: {
        $0
      } add: {
        $0 &+ $1
      }
    case .int32:
      store(access, tile, base, value) { (x: Int32) in
        x
      } load: {
        $0
      } add: {
        $0 &+ $1
      }
    case .int16:
      store(access, tile, base, value) { (x: Int32) in
        Int16(truncatingIfNeeded: x)
      } load: {
        Int32($0)
      } add: {
        $0 &+ $1
      }
    case .int8:
      store(access, tile, base, value) { (x: Int32) in
        Int8(truncatingIfNeeded: x)
      } load: {
        Int32($0)
      } add: {
        $0 &+ $1
      }
    case .uint8:
      store(access, tile, base, value) { (x: Int32) in
        UInt8(truncatingIfNeeded: x)
      } load: {
        Int32($0)
      } add: {
        $0 &+ $1
      }
    case .bool:
      store(access, tile, base, value) { (x: Int32) in
        UInt8(x == 0 ? 0 : 1)
      } load: {
        Int32($0)
      } add: {
        $0 | $1
      }
    case .float16:
      store(access, tile, base, value) { (x: Float) in
        Half(x).bitPattern
      } load: {
        Float(Half(bitPattern: $0))
      } add: {
        $0 + $1
      }
    case .bfloat16:
      store(access, tile, base, value) { (x: Float) in
        BFloat16(x).bitPattern
      } load: {
        Float(BFloat16(bitPattern: $0))
      } add: {
        $0 + $1
      }
    }
  }

  @inline(__always)
  private func store<Element: BitwiseCopyable, Value: BitwiseCopyable>(
    _ access: UnsafeMutablePointer<AccessPlan>, _ tile: borrowing TileContext, _ base: UnsafeMutableRawPointer,
    _ value: UnsafeMutableRawPointer, _ convert: (Value) -> Element, load: (Element) -> Value,
    add: (Value, Value) -> Value
  ) {
    let output = base.assumingMemoryBound(to: Element.self)
    let value = value.assumingMemoryBound(to: Value.self)
    if access.pointee.isAccumulating {
      return forEachElement(access, tile) { i, position in
        output[position] = convert(add(load(output[position]), value[i]))
      }
    }
    if access.pointee.indirectionCount > 0 {
      return forEachElement(access, tile) { i, position in output[position] = convert(value[i]) }
    }
    forEachRun(access, tile) { first, position, count, stride in
      let value = value + first
      let output = output + position
      if stride == 1 {
        var i = 0
        while i < count {
          output[i] = convert(value[i])
          i &+= 1
        }
      } else {
        var i = 0
        var place = 0
        while i < count {
          output[place] = convert(value[i])
          place &+= stride
          i &+= 1
        }
      }
    }
  }

  /// Whether every index that a check looks at is in range; notes the first that is not.
  func check(_ instruction: borrowing Instruction, _ tile: inout TileContext) -> Bool {
    let indices = (tile.scratch + instruction.a).assumingMemoryBound(to: Int64.self)
    let size = UInt64(instruction.bits)
    let count = instruction.isGroupLevel ? 1 : tile.elementCount
    for i in 0..<count where UInt64(bitPattern: indices[i]) >= size {
      tile.fault = Int(indices[i])
      tile.faultAccess = instruction.index
      return false
    }
    return true
  }
}
