import TensorCore

/// The signature of an operator in PyTorch's schema language:
/// `aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)`.
public struct OperatorSchema: Hashable, Sendable {
  public var name: OperatorName
  public var parameters: [Parameter]
  public var returns: [Return]

  public init(name: OperatorName, parameters: [Parameter], returns: [Return]) {
    self.name = name
    self.parameters = parameters
    self.returns = returns
  }

  public struct Parameter: Hashable, Sendable {
    public var name: String
    public var type: SchemaType
    public var alias: AliasAnnotation?
    public var defaultValue: Constant?
    public var isKeywordOnly: Bool

    public init(
      _ name: String, _ type: SchemaType, alias: AliasAnnotation? = nil, defaultValue: Constant? = nil,
      isKeywordOnly: Bool = false
    ) {
      self.name = name
      self.type = type
      self.alias = alias
      self.defaultValue = defaultValue
      self.isKeywordOnly = isKeywordOnly
    }
  }

  public struct Return: Hashable, Sendable {
    public var name: String?
    public var type: SchemaType
    public var alias: AliasAnnotation?

    public init(_ type: SchemaType, name: String? = nil, alias: AliasAnnotation? = nil) {
      self.name = name
      self.type = type
      self.alias = alias
    }
  }
}

/// `(a)`, `(a!)`, `(a -> *)`: which results may share memory with which arguments, and who is written to.
public struct AliasAnnotation: Hashable, Sendable {
  /// Names of the alias sets, such as `a`.
  public var sets: [String]
  public var isWrite: Bool
  /// The elements' sets after the call, as in `(a -> *)`; nil where nothing changes.
  public var setsAfter: [String]?

  public init(_ sets: [String], isWrite: Bool = false, setsAfter: [String]? = nil) {
    self.sets = sets
    self.isWrite = isWrite
    self.setsAfter = setsAfter
  }
}

/// The type of a parameter or return in the schema language.
public indirect enum SchemaType: Hashable, Sendable {
  case tensor, int, symInt, float, bool, symBool, string, scalar, dtype, layout, device, memoryFormat, generator
  /// Not in the schema language: any value, for operators on structure such as `getitem`.
  case anything
  case optional(SchemaType)
  /// `int[2]` has a count: a single value stands for that many.
  case list(SchemaType, count: Int?)
}

extension OperatorSchema {
  /// Whether a call writes to any of its arguments.
  public var isMutating: Bool { parameters.contains { $0.alias?.isWrite == true } }

  /// Whether a result shares memory with an argument that is not written to.
  public var isView: Bool { !isMutating && returns.contains { $0.alias != nil } }

  public func index(of parameter: String) -> Int? { parameters.firstIndex { $0.name == parameter } }
}
