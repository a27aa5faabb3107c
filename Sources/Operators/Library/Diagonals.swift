import GraphIR
import LoopIR
import TensorCore

// Diagonals of matrices, and matrices of diagonals.
extension OperatorLibrary {
  static let diagonals = [linalgDiagonal, diag, diagEmbed, diagFlat, fillDiagonal, blockDiagonal]

  /// `diagonal` of the last two dimensions, unless told otherwise.
  public static let linalgDiagonal = OperatorDefinition(
    "linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor(a)",
    .composite { call in
      let (offset, rows, columns) = (try call.int(1), try call.int(2), try call.int(3))
      return .reference(try call.tensor(0).diagonal(offset: offset, rows, columns))
    })

  /// Of a matrix a copy of a diagonal, of a vector the matrix that has it on a diagonal.
  public static let diag = OperatorDefinition(
    "diag(Tensor self, int diagonal=0) -> Tensor",
    .composite { call in
      let (input, offset) = (try call.tensor(0), try call.int(1))
      switch input.rank {
      case 1: return .reference(try input.diagEmbed(offset: offset))
      case 2: return try diagonal.copying.call([.reference(input), Value(offset)])
      default:
        throw OperatorError(.shape, call.target.name, "needs a vector or a matrix, got sizes \(input.sizes)")
      }
    })

  /// Zeros but on a diagonal of two new dimensions, where the elements of the last dimension stand.
  public static let diagEmbed = OperatorDefinition(
    "diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let rank = input.rank + 1
        guard input.rank > 0 else {
          throw OperatorError(.shape, call.target.name, "a tensor without dimensions has no diagonal to embed")
        }
        let (rows, columns) = (try call.dimension(2, rank: rank), try call.dimension(3, rank: rank))
        guard rows != columns else {
          throw OperatorError(.argument, call.target.name, "dim1 and dim2 must differ, both are \(rows)")
        }
        let offset = try call.int(1)
        guard offset.magnitude <= Int.max / 4 else { throw call.mismatch(1, "an offset that fits into memory") }
        let size = input.sizes[input.rank - 1] + SymInt(Swift.abs(offset))
        var sizes = Array(input.sizes.dropLast())
        for dimension in [Swift.min(rows, columns), Swift.max(rows, columns)] { sizes.insert(size, at: dimension) }
        let meta = TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device)
        _ = try meta.layout.requiredByteCount(meta.dtype)
        return [meta]
      },
      lowering: { call, results, builder in
        builder.fill(results[0], 0)
        builder.copy(try call.reference(0), to: try results[0].viewed(.diagonal, of: call, at: 1))
      })
  )
  .derivative { d in try diagonal(.reference(d.gradient), d["offset"], d["dim1"], d["dim2"]) }

  /// The matrix that has all elements on a diagonal.
  public static let diagFlat = OperatorDefinition(
    "diagflat(Tensor self, int offset=0) -> Tensor",
    .composite { try diag.call([.reference($0.tensor(0).reshape([-1])), $0.arguments[1]]) })

  /// Writes a number on the main diagonal; with `wrap`, again and again down a tall matrix, an empty row in between.
  public static let fillDiagonal = OperatorDefinition(
    "fill_diagonal_(Tensor(a!) self, Scalar fill_value, bool wrap=False) -> Tensor(a!)",
    .composite { call in
      let (matrix, value) = (try call.tensor(0), try call.scalar(1))
      guard matrix.rank >= 2, matrix.rank == 2 || Set(matrix.sizes).count == 1 else {
        throw OperatorError(
          .shape, call.target.name,
          "needs a matrix, or more dimensions of one size, got sizes \(matrix.sizes)")
      }
      if matrix.layout.isEmpty { return .reference(matrix) }
      var diagonal = matrix
      for dimension in (0..<(matrix.rank - 1)).reversed() { diagonal = try diagonal.diagonal(dimension, -1) }
      try diagonal.fill_(value)
      let period = matrix.shape[matrix.rank - 1] + 1
      let blocks = matrix.shape[0] / period
      if matrix.rank == 2, try call.bool(2), matrix.shape[0] > period {
        try matrix.slice(0, to: blocks * period).unfold(0, size: period, step: period).diagonal(2, 1).fill_(value)
        try matrix.slice(0, from: blocks * period).diagonal().fill_(value)
      }
      return .reference(matrix)
    })

  /// A matrix of zeros but for matrices along its diagonal; vectors count as rows, numbers as matrices of one element.
  public static let blockDiagonal = OperatorDefinition(
    "block_diag(Tensor[] tensors) -> Tensor",
    .kernel(
      shape: { call in
        let tensors = try call.tensors(0)
        var (sizes, promotion) = ([SymInt](repeating: 0, count: 2), TypePromotion())
        for tensor in tensors {
          guard tensor.rank <= 2 else {
            throw OperatorError(
              .shape, call.target.name, "needs tensors of at most 2 dimensions, got sizes \(tensor.sizes)")
          }
          promotion.add(tensor.dtype, rank: tensor.rank)
          let block = asMatrix(tensor.sizes)
          sizes = [sizes[0] + block[0], sizes[1] + block[1]]
        }
        if tensors.isEmpty { sizes = [1, 0] }
        let meta = TensorMeta(
          dtype: promotion.result ?? .float32, sizes: sizes, device: tensors.first?.device ?? .cpu)
        _ = try meta.layout.requiredByteCount(meta.dtype)
        return [meta]
      },
      lowering: { call, results, builder in
        builder.fill(results[0], 0)
        var (row, column) = (0, 0)
        for tensor in try call.references(0) {
          let block = asMatrix(tensor.sizes)
          let place = results[0].narrowed(0, from: row, length: block[0]).narrowed(1, from: column, length: block[1])
          builder.copy(tensor, to: place)
          (row, column) = (row + block[0], column + block[1])
        }
      })
  )
  .derivative(of: "tensors") { d -> [Value] in
    var (row, column) = (0, 0)
    let gradients = try d.call.tensors(0).map { tensor -> Value in
      let block = asMatrix(tensor.shape)
      defer { (row, column) = (row + block[0], column + block[1]) }
      let part = try d.gradient.slice(0, from: row, to: row + block[0]).slice(1, from: column, to: column + block[1])
      return .reference(try part.reshape(tensor.sizes))
    }
    return [.list(gradients)]
  }

  /// The sizes of at most two dimensions as those of a matrix.
  private static func asMatrix<Size: ExpressibleByIntegerLiteral>(_ sizes: [Size]) -> [Size] {
    [Size](repeating: 1, count: 2 - sizes.count) + sizes
  }
}

extension Tensor {
  /// Of a matrix a copy of a diagonal, of a vector the matrix that has it on a diagonal.
  public func diag(_ offset: Int = 0) throws -> Tensor { try OperatorLibrary.diag(.reference(self), Value(offset)) }

  /// Zeros but on a diagonal of two new dimensions, where the elements of the last dimension stand.
  public func diagEmbed(offset: Int = 0, _ rows: Int = -2, _ columns: Int = -1) throws -> Tensor {
    try OperatorLibrary.diagEmbed(.reference(self), Value(offset), Value(rows), Value(columns))
  }

  /// Writes a number on the main diagonal.
  @discardableResult
  public func fillDiagonal_(_ value: some NumberOperand, wrap: Bool = false) throws -> Tensor {
    try OperatorLibrary.fillDiagonal(.reference(self), value.operandValue, .bool(wrap))
  }

  /// A matrix of zeros but for matrices along its diagonal.
  public static func blockDiag(_ tensors: [Tensor]) throws -> Tensor {
    try OperatorLibrary.blockDiagonal(.list(tensors.map { .reference($0) }))
  }
}
