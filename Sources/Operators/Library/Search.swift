import GraphIR
import TensorCore

// Places of values among sorted boundaries, and membership.
extension OperatorLibrary {
  static let searches = [
    bucketize, bucketizeScalar, searchsorted, searchsortedScalar, isin, isinScalar, scalarIsin,
  ]

  /// The number of the bucket, between ascending boundaries, that each element falls into; an element equal to a boundary
  /// falls below it, with `right` above.
  public static let bucketize = search(
    "bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    boundaries: 1, values: 0)
  public static let bucketizeScalar = search(
    "bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    boundaries: 1, values: 0)

  /// Where each element would have to be inserted to keep the sequence, or the row of sequences that goes with its row,
  /// ascending: before elements equal to it or, on the right side, behind. `sorter` holds the indices that sort the sequence.
  public static let searchsorted = search(
    """
    searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, \
    str? side=None, Tensor? sorter=None) -> Tensor
    """, boundaries: 0, values: 1)
  public static let searchsortedScalar = search(
    """
    searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, \
    str? side=None, Tensor? sorter=None) -> Tensor
    """, boundaries: 0, values: 1)

  /// Whether each element is among the test elements; with `invert`, whether it is not.
  public static let isin = membership(
    "isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor"
  )
  public static let isinScalar = membership(
    "isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False) -> Tensor"
  )
  public static let scalarIsin = membership(
    "isin.Scalar_Tensor(Scalar element, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor"
  )

  private static func search(
    _ schema: String, boundaries: Int, values: Int
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .host(
        shape: { call in
          let sequence = try call.tensor(boundaries)
          let sizes = call.arguments[values].reference?.sizes ?? []
          try call.checkSequences(sequence, values: sizes)
          if try call.commonDType == .bool { throw OperatorError(.dtype, call.target.name, "is not defined for bool") }
          return [
            TensorMeta(dtype: try call.bool(2) ? .int32 : .int64, sizes: sizes, device: sequence.device)
          ]
        },
        body: { call, results in
          let isRight = try call.bool(3) || (call.side == "right")
          let (sequence, dtype) = (try call.tensor(boundaries), try call.commonDType)
          let length = sequence.shape[sequence.rank - 1]
          let order = try call.sorter?.elements(as: Int.self)
          if let wrong = order?.first(where: { !(0..<length).contains($0) }) {
            throw OperatorError(
              .index, call.target.name, "argument 'sorter' holds the index \(wrong) for sequences of \(length)")
          }
          func places<Element: TensorElement & Comparable>(_ type: Element.Type) throws -> [Int] {
            let rows = SortedRows(
              elements: try call.elements(boundaries, in: dtype, as: type), length: length, order: order)
            return rows.places(
              of: try call.elements(values, in: dtype, as: type),
              perRow: sequence.rank == 1 ? nil : results[0].shape.last,
              isRight: isRight)
          }
          let found = try dtype.isFloatingPoint ? places(Double.self) : places(Int.self)
          try EagerKernels.copy(Tensor(found, shape: results[0].shape), to: results[0])
        })
    )
    .notDifferentiable()
  }

  private static func membership(_ schema: String) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .host(
        shape: { call in
          for tensor in call.allTensors { try call.refuseBool(tensor) }
          let device = call.allTensors.first?.device ?? .cpu
          return [TensorMeta(dtype: .bool, sizes: call.arguments[0].reference?.sizes ?? [], device: device)]
        },
        body: { call, results in
          let (dtype, isInverted) = (try call.commonDType, try call.bool(3))
          func members<Element: TensorElement & Hashable>(_ type: Element.Type) throws -> [Bool] {
            let tested = Set(try call.elements(1, in: dtype, as: type))
            return try call.elements(0, in: dtype, as: type).map { tested.contains($0) != isInverted }
          }
          let found = try dtype.isFloatingPoint ? members(Double.self) : members(Int.self)
          try EagerKernels.copy(Tensor(found, shape: results[0].shape), to: results[0])
        })
    )
    .notDifferentiable()
  }
}

/// Rows of one length, each ascending, by themselves or in an order that is told.
private struct SortedRows<Element: Comparable> {
  let elements: [Element]
  let length: Int
  /// For every place in order, the index in its row; nil where the rows are in order.
  let order: [Int]?

  /// For each value, the number of elements below it or, on the right side, not above it.
  ///
  /// - Parameter perRow: How many values each row gets, in turn; nil gives all to one row.
  func places(of values: [Element], perRow: Int?, isRight: Bool) -> [Int] {
    values.enumerated().map { number, value in
      let row = perRow.map { number / $0 * length } ?? 0
      var (low, high) = (0, length)
      while low < high {
        let middle = low + (high - low) / 2
        let element = elements[row + (order?[row + middle] ?? middle)]
        // As PyTorch searches, a NaN among the boundaries is below everything.
        if isRight ? !(element > value) : !(element >= value) { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }
}

extension Call where Reference == Tensor {
  fileprivate var side: String? {
    guard let position = target.schema.index(of: "side"), !arguments[position].isNone else { return nil }
    return try? string(position)
  }

  fileprivate var sorter: Tensor? { target.schema.index(of: "sorter").flatMap { arguments[$0].reference } }

  /// The type that the two operands, tensors or numbers, meet in.
  fileprivate var commonDType: DType {
    get throws {
      var promotion = TypePromotion()
      for position in 0..<2 {
        if let tensor = arguments[position].reference {
          promotion.add(tensor.dtype, rank: tensor.rank)
        } else {
          promotion.add(try scalar(position))
        }
      }
      return promotion.result ?? .float32
    }
  }

  /// The elements of an operand, tensor or number, rounded to a type and widened to float64 or int64.
  fileprivate func elements<Element: TensorElement>(
    _ position: Int, in dtype: DType, as type: Element.Type
  ) throws -> [Element] {
    let source: Tensor
    switch arguments[position] {
    case .reference(let tensor): source = tensor
    case .int(let value): source = try Tensor([value.value], shape: [])
    default: source = try Tensor([scalar(position).doubleValue], shape: [])
    }
    return try source.denseCopy(as: dtype).denseCopy(as: Element.dtype).elements()
  }

  fileprivate func checkSequences(_ sequence: Tensor, values: [SymInt]) throws {
    let isBucketize = target.schema.index(of: "sorted_sequence") == nil
    let isRow = sequence.rank == 1
    guard
      isRow
        || (!isBucketize && sequence.rank > 1 && sequence.sizes.dropLast() == values.dropLast()
          && sequence.rank == values.count)
    else {
      throw OperatorError(
        .shape, target.name,
        "needs one sequence\(isBucketize ? "" : ", or one for each row of values"); got sequences of sizes"
          + " \(sequence.sizes) for values of sizes \(values)")
    }
    if let position = target.schema.index(of: "side"), !arguments[position].isNone {
      let side = try string(position)
      guard ["left", "right"].contains(side) else { throw mismatch(position, "'left' or 'right'") }
      if try side == "left" && bool(3) {
        throw OperatorError(.argument, target.name, "argument 'side' is 'left' where argument 'right' is true")
      }
    }
    guard let sorter else { return }
    guard sorter.dtype == .int64, sorter.sizes == sequence.sizes else {
      throw OperatorError(
        .argument, target.name,
        "argument 'sorter' must be int64 of the sequence's sizes \(sequence.sizes), got \(sorter.dtype) \(sorter.sizes)"
      )
    }
  }
}

extension Tensor {
  /// The number of the bucket, between ascending boundaries, that each element falls into.
  public func bucketize(_ boundaries: Tensor, right: Bool = false) throws -> Tensor {
    try OperatorLibrary.bucketize(.reference(self), .reference(boundaries), .bool(false), .bool(right))
  }

  /// Where values would have to be inserted to keep this ascending sequence, or each of its rows, ascending.
  public func searchsorted(_ values: some TensorOperand, right: Bool = false, sorter: Tensor? = nil) throws -> Tensor {
    let value = values.operandValue
    let target = value.reference == nil ? OperatorLibrary.searchsortedScalar : OperatorLibrary.searchsorted
    return try target(
      .reference(self), value, .bool(false), .bool(right), .none, sorter.map { .reference($0) } ?? .none)
  }

  /// Whether each element is among others; inverted, whether it is not.
  public func isin(_ others: some TensorOperand, inverted: Bool = false) throws -> Tensor {
    let value = others.operandValue
    let target = value.reference == nil ? OperatorLibrary.isinScalar : OperatorLibrary.isin
    return try target(.reference(self), value, .bool(false), .bool(inverted))
  }
}
