import GraphIR
import TensorCore

extension OperatorLibrary {
  static let triangleIndices = [trilIndices, triuIndices]

  /// Rows and columns, [2, n], of the elements of a matrix on and below a diagonal, in row-major order.
  public static let trilIndices = indices(of: "tril") { row, columns, offset in
    0..<Swift.min(Swift.max(row + offset + 1, 0), columns)
  }

  /// Rows and columns, [2, n], of the elements of a matrix on and above a diagonal, in row-major order.
  public static let triuIndices = indices(of: "triu") { row, columns, offset in
    Swift.min(Swift.max(row + offset, 0), columns)..<columns
  }

  /// - Parameter part: The columns of a row that belong to the triangle.
  private static func indices(
    of name: String, _ part: @escaping @Sendable (_ row: Int, _ columns: Int, _ offset: Int) -> Range<Int>
  ) -> OperatorDefinition {
    OperatorDefinition(
      """
      \(name)_indices(int row, int col, int offset=0, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, \
      bool? pin_memory=None) -> Tensor
      """, traits: .factory,
      .host(
        shape: { call in
          let dtype = try call.optionalDType(3) ?? .int64
          guard dtype == .int64 || dtype == .int32 else {
            throw OperatorError(.dtype, call.target.name, "gives int64 or int32, not \(dtype)")
          }
          let (rows, columns, offset) = try call.matrix()
          var count = 0
          for row in 0..<rows { count += part(row, columns, offset).count }
          let meta = TensorMeta(dtype: dtype, sizes: [2, SymInt(count)], device: try call.optionalDevice(5) ?? .cpu)
          _ = try meta.layout.requiredByteCount(dtype)
          return [meta]
        },
        body: { call, results in
          let (rows, columns, offset) = try call.matrix()
          let places = (0..<rows).flatMap { row in part(row, columns, offset).map { (row, $0) } }
          let values = places.map(\.0) + places.map(\.1)
          try EagerKernels.copy(Tensor(values, shape: [2, places.count]), to: results[0])
        })
    )
    .notDifferentiable()
  }
}

extension Call where Reference == Tensor {
  /// The rows, columns and offset that arguments 0, 1 and 2 name; beyond the matrix, every diagonal is like the next.
  fileprivate func matrix() throws -> (rows: Int, columns: Int, offset: Int) {
    let (rows, columns, offset) = (try int(0), try int(1), try int(2))
    // Then the number of elements fits into an `Int`.
    let limit = Int(Int32.max)
    guard (0...limit).contains(rows), (0...limit).contains(columns) else {
      throw OperatorError(
        .argument, target.name, "arguments 'row' and 'col' must lie in 0...\(limit), got \(rows) and \(columns)")
    }
    return (rows, columns, min(max(offset, -rows), columns))
  }
}
