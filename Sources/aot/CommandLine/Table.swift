/// Rows of text in aligned columns: the first to the left, the others, which are numbers, to the right.
struct Table {
  let header: [String]
  /// Whether all columns are text, and stand to the left.
  let isText: Bool
  private(set) var rows: [[String]] = []

  /// - Parameter header: Empty for a table that needs none.
  init(_ header: [String] = [], isText: Bool = false) {
    self.header = header
    self.isText = isText
  }

  mutating func add(_ row: [String]) { rows.append(row) }

  var text: String {
    let lines = (header.isEmpty ? [] : [header]) + rows
    let columnCount = lines.map(\.count).max() ?? 0
    let widths = (0..<columnCount).map { column in
      lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return lines.map { line in
      let cells = line.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        if isText && column == line.count - 1 { return cell }
        return isText || column == 0 ? cell + padding : padding + cell
      }
      return cells.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}
