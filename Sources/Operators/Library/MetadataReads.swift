import GraphIR
import TensorCore

// What a tensor's metadata says. Under capture the answers are constants of the graph, which a guard stands for.
extension OperatorLibrary {
  static let metadataReads = [
    symSize, symStride, symNumel, symStorageOffset, symIsContiguous, assertTensorMetadata,
  ]

  public static let symSize = OperatorDefinition(
    "sym_size.int(Tensor self, int dim) -> SymInt",
    .composite { call in .int(try call.tensor(0).sizes[existingDimension(call)]) })

  public static let symStride = OperatorDefinition(
    "sym_stride.int(Tensor self, int dim) -> SymInt",
    .composite { call in .int(try call.tensor(0).strides[existingDimension(call)]) })

  public static let symNumel = OperatorDefinition(
    "sym_numel(Tensor self) -> SymInt", .composite { .int(try $0.tensor(0).layout.elementCount) })

  public static let symStorageOffset = OperatorDefinition(
    "sym_storage_offset(Tensor self) -> SymInt",
    .composite { call in
      // Calls of one compiled function may differ in where their arguments start.
      guard DispatchContext.current.mode == nil else {
        throw OperatorError(
          .dataDependent, call.target.name, "where a tensor starts in its storage is not known in a captured function")
      }
      return .int(try call.tensor(0).layout.offset)
    })

  /// Whether the elements are dense in the order that a memory format has.
  public static let symIsContiguous = OperatorDefinition(
    "sym_is_contiguous(Tensor self, MemoryFormat memory_format=0) -> SymBool",
    .composite { call in
      let layout = try call.tensor(0).layout
      let format = try call.optionalMemoryFormat(1) ?? .contiguous
      guard let rank = format.rank else { return .bool(layout.isContiguous) }
      guard rank == layout.rank else { return .bool(false) }
      // Unlike row-major order, these ask for their strides even where there is no element.
      let wanted = layout.copied(format: format).strides
      return .bool(layout.sizes.indices.allSatisfy { layout.sizes[$0] == 1 || layout.strides[$0] == wanted[$0] })
    })

  /// Refuses a tensor whose metadata is not what is stated.
  public static let assertTensorMetadata = OperatorDefinition(
    """
    _assert_tensor_metadata(Tensor a, SymInt[]? size=None, SymInt[]? stride=None, ScalarType? dtype=None, *, \
    Device? device=None, Layout? layout=None) -> ()
    """,
    .composite { call in
      let input = try call.tensor(0)
      func check<Fact: Equatable>(_ name: String, _ wanted: Fact?, _ found: Fact) throws {
        guard let wanted, wanted != found else { return }
        throw OperatorError(.argument, call.target.name, "the tensor's \(name) is \(found), not \(wanted)")
      }
      try check("size", call.optionalInts(1), input.shape)
      try check("stride", call.optionalInts(2), input.strides.values)
      try check("dtype", call.optionalDType(3), input.dtype)
      try check("device", call.optionalDevice(4), input.device)
      return .none
    })

  /// A dimension that there is: unlike elsewhere, a tensor without dimensions has none.
  private static func existingDimension(_ call: OperatorCall) throws -> Int {
    let rank = try call.tensor(0).rank
    guard rank > 0 else { throw OperatorError(.index, call.target.name, "a tensor without dimensions has no 'dim'") }
    return try call.dimension(1, rank: rank)
  }
}
