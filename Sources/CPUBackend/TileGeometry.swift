import LoopIR
import TensorCore

/// How a kernel's iteration space is cut into tiles: its shape, the order of its dimensions, the size of its tiles.
struct TileGeometry {
  /// Elements of a register. A handful of registers then fits the first-level cache.
  static let width = 512
  /// The longest row that kernels with several stages keep in registers as a whole.
  static let longestKeptRow = 8192

  let shape: LoopPlan.Shape
  /// Dimensions of the (collapsed) kernel that make up rows, in order; with those of a group first.
  let rowDimensions: [Int]
  /// The dimension that makes up columns; nil where there is none.
  let columnDimension: Int?
  let groupDimensionCount: Int
  let rowSizes: [Int]
  let rowCount: Int
  let columnCount: Int
  let groupRowCount: Int
  let groupCount: Int
  let isSinglePass: Bool
  let tileRows: Int
  let tileColumns: Int
  let tileGroups: Int

  /// - Parameter kernel: Collapsed; without reduced dimensions where it has no reductions.
  init(_ kernel: LoopKernel) {
    let sizes = kernel.sizes
    let outerRank = kernel.outerSizes.count
    let outer = Array(0..<outerRank)
    let reduced = Array(outerRank..<sizes.count)
    func count(_ dimensions: some Sequence<Int>) -> Int { dimensions.reduce(1) { $0 * sizes[$1] } }

    if kernel.reductions.isEmpty {
      shape = .elementwise
      rowDimensions = Array(outer.dropLast())
      columnDimension = outer.last
      groupDimensionCount = 0
      groupCount = 1
    } else if let last = outer.last, kernel.reducedCount > 0, Self.prefersColumns(kernel) {
      shape = .columns
      rowDimensions = outer.dropLast() + reduced
      columnDimension = last
      groupDimensionCount = outerRank - 1
      groupCount = count(outer.dropLast())
    } else {
      shape = .rows
      rowDimensions = outer + reduced.dropLast()
      columnDimension = reduced.last
      groupDimensionCount = outerRank
      groupCount = count(outer)
    }
    rowSizes = rowDimensions.map { sizes[$0] }
    rowCount = count(rowDimensions)
    columnCount = columnDimension.map { sizes[$0] } ?? 1
    groupRowCount =
      switch shape {
      case .elementwise: rowCount
      case .columns: kernel.reducedCount
      case .rows: count(reduced.dropLast())
      }

    let groupLength = groupRowCount * columnCount
    let keptWidth = kernel.hasSeveralStages ? Self.longestKeptRow : 2 * Self.width
    if shape == .rows, groupLength <= keptWidth {
      isSinglePass = true
      tileGroups = max(1, min(groupCount, Self.width / max(groupLength, 1)))
      tileRows = tileGroups * groupRowCount
      tileColumns = columnCount
    } else {
      isSinglePass = shape == .elementwise
      tileGroups = 1
      if columnCount <= Self.width {
        tileColumns = columnCount
        tileRows = max(1, min(groupRowCount, Self.width / max(columnCount, 1)))
      } else {
        let chunks = (columnCount + Self.width - 1) / Self.width
        tileColumns = min(columnCount, ((columnCount + chunks - 1) / chunks + 15) & ~15)
        tileRows = 1
      }
    }
  }

  var itemCount: Int {
    let chunks = columnCount == 0 ? 0 : (columnCount + tileColumns - 1) / tileColumns
    return switch shape {
    case .elementwise:
      columnCount == 0 ? 0 : chunks > 1 ? rowCount * chunks : (rowCount + tileRows - 1) / tileRows
    case .rows: (groupCount + tileGroups - 1) / tileGroups
    case .columns: groupCount * chunks
    }
  }

  /// Whether neighbors in memory lie along an outer dimension rather than a reduced one.
  private static func prefersColumns(_ kernel: LoopKernel) -> Bool {
    let last = kernel.outerSizes.count - 1
    guard kernel.outerSizes[last] >= 4, !kernel.reducedSizes.isEmpty else { return false }
    func reach(_ dimension: Int) -> Int { kernel.loads.reduce(0) { $0 + abs($1.strides[dimension]) } }
    return reach(last) < reach(kernel.sizes.count - 1)
  }
}

extension LoopKernel {
  /// Whether elements are looked at more than once: a later reduction or a full store needs an earlier reduction.
  fileprivate var hasSeveralStages: Bool { reductions.count > 1 || stores.contains { $0.extent == .full } }
}
