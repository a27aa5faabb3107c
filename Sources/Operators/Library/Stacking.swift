import GraphIR
import TensorCore

// Tensors of several shapes put together, or brought to one shape.
extension OperatorLibrary {
  static let stacking = [hstack, vstack, rowStack, dstack, columnStack, broadcastTensors, meshgrid, meshgridIndexing]

  /// Tensors side by side: along the second dimension, or the only one.
  public static let hstack = joined("hstack(Tensor[] tensors) -> Tensor") { tensors in
    let tensors = try tensors.map { $0.rank == 0 ? try $0.reshape([1]) : $0 }
    return try Tensor.cat(tensors, dimension: tensors[0].rank == 1 ? 0 : 1)
  }

  /// Tensors one below another, vectors as rows.
  public static let vstack = joined("vstack(Tensor[] tensors) -> Tensor") { tensors in
    try Tensor.cat(tensors.map { $0.rank < 2 ? try $0.reshape([1, -1]) : $0 }, dimension: 0)
  }

  public static let rowStack = OperatorDefinition(
    "row_stack(Tensor[] tensors) -> Tensor", .composite { try vstack.call($0.arguments) })

  /// Tensors one behind another, along the third dimension; vectors are rows.
  public static let dstack = joined("dstack(Tensor[] tensors) -> Tensor") { tensors in
    let deep = try tensors.map { tensor in
      switch tensor.rank {
      case 0, 1: try tensor.reshape([1, -1, 1])
      case 2: try tensor.unsqueeze(2)
      default: tensor
      }
    }
    return try Tensor.cat(deep, dimension: 2)
  }

  /// Tensors side by side, along the second dimension; vectors are columns.
  public static let columnStack = joined("column_stack(Tensor[] tensors) -> Tensor") { tensors in
    try Tensor.cat(tensors.map { $0.rank < 2 ? try $0.reshape([-1, 1]) : $0 }, dimension: 1)
  }

  private static func joined(
    _ schema: String, _ body: @escaping @Sendable ([Tensor]) throws -> Tensor
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        let tensors = try call.tensors(0)
        guard !tensors.isEmpty else {
          throw OperatorError(.argument, call.target.name, "needs at least one tensor")
        }
        return .reference(try body(tensors))
      })
  }

  /// Tensors expanded to the shape that they broadcast to.
  public static let broadcastTensors = OperatorDefinition(
    "broadcast_tensors(Tensor[] tensors) -> Tensor[]",
    .composite { call in
      let tensors = try call.tensors(0)
      let sizes = try call.target.broadcast(tensors.map(\.sizes))
      return .list(try tensors.map { .reference($0.sizes == sizes ? $0 : try $0.expand(sizes)) })
    })

  /// Vectors, each along a dimension of its own, expanded to the shape of all.
  public static let meshgrid = OperatorDefinition(
    "meshgrid(Tensor[] tensors) -> Tensor[]", .composite { try grid($0, $0.tensors(0)) })

  /// As `meshgrid`; by the indexing "xy", the first two vectors lie along each other's dimension.
  public static let meshgridIndexing = OperatorDefinition(
    "meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]",
    .composite { call in
      let tensors = try call.tensors(0)
      switch try call.string(1) {
      case "xy" where tensors.count >= 2:
        let swapped = [tensors[1], tensors[0]] + tensors.dropFirst(2)
        let grids = try grid(call, swapped).references
        return .list(([grids[1], grids[0]] + grids.dropFirst(2)).map { .reference($0) })
      case "ij", "xy": return try grid(call, tensors)
      case let other:
        throw OperatorError(.argument, call.target.name, "argument 'indexing' must be 'xy' or 'ij', got '\(other)'")
      }
    })

  private static func grid(_ call: OperatorCall, _ tensors: [Tensor]) throws -> Value {
    guard let first = tensors.first else {
      throw OperatorError(.argument, call.target.name, "needs at least one tensor")
    }
    for tensor in tensors where tensor.rank > 1 || tensor.dtype != first.dtype || tensor.device != first.device {
      throw OperatorError(
        .argument, call.target.name,
        "needs vectors of one dtype and device, got \(tensor.dtype) of sizes \(tensor.sizes) beside \(first.dtype)")
    }
    let sizes = tensors.map(\.layout.elementCount)
    return .list(
      try tensors.enumerated().map { dimension, tensor in
        let place = sizes.indices.map { $0 == dimension ? sizes[$0] : 1 }
        return .reference(try tensor.view(place).expand(sizes))
      })
  }
}

extension Tensor {
  /// Vectors, each along a dimension of its own, expanded to the shape of all; by the indexing "xy", the first two lie along
  /// each other's dimension.
  public static func meshgrid(_ tensors: [Tensor], indexing: String = "ij") throws -> [Tensor] {
    try OperatorLibrary.meshgridIndexing.several(.list(tensors.map { .reference($0) }), .string(indexing))
  }

  /// Tensors expanded to the shape that they broadcast to.
  public static func broadcast(_ tensors: [Tensor]) throws -> [Tensor] {
    try OperatorLibrary.broadcastTensors.several(.list(tensors.map { .reference($0) }))
  }
}
