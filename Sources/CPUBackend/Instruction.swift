import LoopIR
import TensorCore

/// One step of a register program: a tight loop over a tile. Plain data, so that running it counts no references.
struct Instruction {
  enum Opcode: UInt8 {
    case constant, load, unary, binary, select, convert, round, spread
    case beginReduction, accumulate, finishReduction
    case store, check
  }

  var opcode: Opcode
  /// The type of the operands.
  var type: RegisterType
  /// Whether it works on one value per group instead of one per element of the tile.
  var isGroupLevel = false
  /// What `round` rounds or wraps to.
  var dtype = DType.float32
  /// What `convert` gives.
  var targetType = RegisterType.float32
  var unary = UnaryOperation.negate
  var binary = BinaryOperation.add
  /// Registers: numbers while compiling, byte offsets into the scratch afterwards.
  var target = 0
  var a = 0
  var b = 0
  var c = 0
  /// The access of a load, store or check, the reduction of its steps.
  var index = 0
  /// The bits of a constant; the size that a check allows.
  var bits: UInt64 = 0
}

/// An access as the runner sees it.
struct AccessPlan {
  var buffer: Int
  var dtype: DType
  var type: RegisterType
  var offset: Int
  /// Per row dimension; for a group-level access of a row plan, per group dimension.
  var strides: UnsafeMutablePointer<Int>
  var columnStride: Int
  var isGroupLevel: Bool
  /// Whether every index reads the same element: loaded once, in the prologue.
  var isUniform: Bool
  /// How a store treats what is there.
  var mode: LoopKernel.Store.Mode
  /// No memory behind it: its value is its offset.
  var isCoordinate: Bool
  var indirectionCount: Int
  var indirections: UnsafeMutablePointer<IndirectionPlan>
}

struct IndirectionPlan: Equatable {
  /// The register of the int64 index.
  var register: Int
  /// Buffer elements per step of the index.
  var stride: Int
}

struct ReductionPlan {
  /// Levels of partial sums.
  static let sumLevels = 4

  var operation: LoopKernel.Reduction.Operation
  var type: RegisterType
  /// The folded value (for sums, partial results, one level after the other), or an extremum and then its position.
  var accumulator: Int
  /// Bytes of one level.
  var levelByteCount: Int
}

/// A kernel ready to run: plain data, owned by its program's `PlanMemory`.
struct LoopPlan {
  enum Shape: UInt8 {
    /// No reductions.
    case elementwise
    /// A tile spans the reduced dimensions: one group per outer index.
    case rows
    /// A tile spans the last outer dimension, and walks the reduced ones row by row.
    case columns
  }

  var shape: Shape
  /// A group's elements fit one tile, so every value is computed once.
  var isSinglePass: Bool
  /// Whether stores may collide, so that one thread must do them in order.
  var isSerial: Bool
  var rowSizes: UnsafeMutablePointer<Int>
  var rowDimensionCount: Int
  var groupDimensionCount: Int
  var rowCount: Int
  var columnCount: Int
  /// Rows of one group.
  var groupRowCount: Int
  var groupCount: Int
  /// The largest tile.
  var tileRows: Int
  var tileColumns: Int
  /// Groups in a tile, for a single pass over rows.
  var tileGroups: Int
  var itemCount: Int
  var nanosecondsPerItem: Double
  /// Prologue; then, for each stage, group work and tile work; then the last group work.
  var segments: UnsafeMutablePointer<Segment>
  var segmentCount: Int
  var accesses: UnsafeMutablePointer<AccessPlan>
  var reductions: UnsafeMutablePointer<ReductionPlan>
  var scratchByteCount: Int
}

struct Segment {
  var instructions: UnsafeMutablePointer<Instruction>
  var count: Int
}

/// Owns the plain data of a program's plans.
final class PlanMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  func store<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let bytes = max(elements.count, 1) * MemoryLayout<Element>.stride
    let block = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
    blocks.append(block)
    let pointer = block.bindMemory(to: Element.self, capacity: max(elements.count, 1))
    elements.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pointer.initialize(from: base, count: source.count) }
    }
    return pointer
  }

  deinit { for block in blocks { block.deallocate() } }
}
