import GraphIR
import Operators

/// The library's operators, by what random programs use them for.
struct OperatorPool: Sendable {
  enum Role: CaseIterable { case view, write, compute }

  let views: [OperatorDefinition]
  /// Those that write to their first argument, or change its layout.
  let writes: [OperatorDefinition]
  let computations: [OperatorDefinition]
  /// What programs are mostly written in.
  let commonComputations: [OperatorDefinition]

  static let library = OperatorPool(OperatorLibrary.all)

  init(_ definitions: [OperatorDefinition]) {
    let known = definitions.filter { $0.name.namespace == "aten" && $0.schema.parameters.contains { $0.holdsTensors } }
    views = known.filter(\.schema.isView)
    writes = known.filter { $0.schema.isMutating && $0.schema.parameters[0].alias?.isWrite == true }
    // Derivatives that are operators have huge terms at the edges of their domains: sums of them are a matter of their order.
    computations = known.filter {
      !$0.schema.isMutating && !$0.schema.isView && !$0.traits.contains(.dataDependent)
        && !$0.name.base.hasSuffix("_backward")
    }
    commonComputations = computations.filter { Self.common.contains($0.name.base) }
  }

  func operators(_ role: Role) -> [OperatorDefinition] {
    switch role {
    case .view: views
    case .write: writes
    case .compute: computations
    }
  }

  private static let common: Set = [
    "add", "sub", "mul", "div", "neg", "abs", "tanh", "sin", "exp", "sigmoid", "relu", "square", "clamp", "maximum",
    "where",
    "lerp", "addcmul", "gt", "lt", "sum", "mean", "amax", "max", "prod", "softmax", "cumsum", "logsumexp", "matmul",
    "mm",
    "bmm", "addmm", "cat", "stack", "flip", "roll", "repeat", "clone", "tril", "index_select", "gather", "index",
    "masked_fill", "index_put", "scatter", "sort", "_to_copy", "zeros_like", "constant_pad_nd", "gelu", "layer_norm",
  ]
}

extension OperatorSchema.Parameter {
  var holdsTensors: Bool { type.holdsTensors }
}

extension SchemaType {
  fileprivate var holdsTensors: Bool {
    switch self {
    case .tensor: true
    case .optional(let type), .list(let type, _): type.holdsTensors
    default: false
    }
  }
}
