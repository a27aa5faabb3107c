import AOTArtifacts
import GraphIR
import TensorCore

/// What a partition saves and recomputes, for people to read.
public struct PartitionReport: Sendable, CustomStringConvertible {
  public struct Row: Hashable, Sendable {
    public var name: String
    /// Dtype and sizes, such as `f32[8, 4]`.
    public var type: String
    public var byteCount: Int
    /// The operator, or `input`.
    public var origin: String
    public var source: SourceLocation?
    public var reason: String
  }

  public var saved: [Row]
  public var recomputed: [Row]
  /// See `Partition.savedByteCount`.
  public var savedByteCount: Int
  public var cut: CutSummary?

  public init(_ partition: Partition) {
    saved = (partition.savedTensors + partition.savedNumbers).map {
      Row(
        name: $0.name, type: Self.type($0.value), byteCount: $0.byteCount,
        origin: $0.operatorName?.description ?? "input", source: $0.source, reason: $0.reason.description)
    }
    recomputed = partition.recomputed.map {
      Row(
        name: $0.name, type: $0.value.map(Self.type) ?? "", byteCount: $0.byteCount,
        origin: $0.operatorName?.description ?? "attribute", source: $0.source, reason: $0.reason.description)
    }
    savedByteCount = partition.savedByteCount
    cut = partition.cut
  }

  public var description: String {
    var lines = ["saved: \(saved.count) values, \(savedByteCount) bytes beside the inputs"]
    lines += Self.table(saved)
    lines.append("recomputed: \(recomputed.count) values")
    lines += Self.table(recomputed)
    if let cut { lines.append("cut: \(cut.cutValue) bytes, flow: \(cut.flowValue) bytes") }
    return lines.joined(separator: "\n")
  }

  private static func type(_ value: MetaValue) -> String {
    switch value {
    case .reference(let tensor):
      "\(tensor.dtype.abbreviation)[\(tensor.sizes.map(\.description).joined(separator: ", "))]"
    case .tuple(let parts): "(\(parts.map(type).joined(separator: ", ")))"
    case .list(let parts): "[\(parts.map(type).joined(separator: ", "))]"
    case .bool: "bool"
    case .int: "int"
    case .double: "double"
    default: ""
    }
  }

  /// The rows with columns aligned; the numbers to the right.
  private static func table(_ rows: [Row]) -> [String] {
    let cells = rows.map {
      [$0.name, $0.type, String($0.byteCount), $0.origin, $0.reason, $0.source?.description ?? ""]
    }
    let widths = (0..<6).map { column in cells.map { $0[column].count }.max() ?? 0 }
    return cells.map { row in
      let padded = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return column == 2 ? space + cell : cell + space
      }
      let line = "  " + padded.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }
}

extension Partition {
  public var report: PartitionReport { PartitionReport(self) }
}
