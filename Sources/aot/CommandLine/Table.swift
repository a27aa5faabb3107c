/// Rows of text in aligned columns: the first to the left, the others to the right.
struct Table {
  let header: [String]
  private(set) var rows: [[String]] = []

  /// - Parameter header: Empty for a table that needs none.
  init(_ header: [String] = []) { self.header = header }

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
        return column == 0 ? cell + padding : padding + cell
      }
      return cells.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}
