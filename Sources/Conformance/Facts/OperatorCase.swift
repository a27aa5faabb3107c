import Foundation
import TensorCore

/// One recorded call of an operator: arguments, and what came of it.
struct OperatorCase: Decodable, Sendable {
  let id: String
  /// `name.overload`
  let operatorName: String
  /// By parameter name.
  let arguments: [String: RecordedValue]
  let inputs: [RecordedInput]
  /// Whether floating-point results are compared bit for bit.
  let isExact: Bool
  /// One per result of the schema.
  let outputs: [RecordedOutput]
  /// The inputs that the call changes.
  let mutations: [RecordedMutation]
  let gradient: RecordedGradient?
  /// Set where the call has to fail.
  let error: RecordedError?
  /// The inputs that require a gradient before a call that has to fail.
  let requiresGrad: [Int]

  private enum Key: String, CodingKey {
    case id, error
    case operatorName = "op"
    case arguments = "args"
    case inputs = "in"
    case isExact = "exact"
    case outputs = "out"
    case mutations = "mut"
    case gradient = "grad"
    case requiresGrad = "requires_grad"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    id = try object.decode(String.self, forKey: .id)
    operatorName = try object.decode(String.self, forKey: .operatorName)
    arguments = try object.decodeIfPresent([String: RecordedValue].self, forKey: .arguments) ?? [:]
    inputs = try object.decodeIfPresent([RecordedInput].self, forKey: .inputs) ?? []
    isExact = try object.decodeIfPresent(Bool.self, forKey: .isExact) ?? false
    outputs = try object.decodeIfPresent([RecordedOutput].self, forKey: .outputs) ?? []
    mutations = try object.decodeIfPresent([RecordedMutation].self, forKey: .mutations) ?? []
    gradient = try object.decodeIfPresent(RecordedGradient.self, forKey: .gradient)
    error = try object.decodeIfPresent(RecordedError.self, forKey: .error)
    requiresGrad = try object.decodeIfPresent([Int].self, forKey: .requiresGrad) ?? []
  }
}

/// A recorded tensor's elements: where they lie, and how close a result must come.
struct RecordedElements: Decodable, Sendable {
  let dtype: DType
  let sizes: [Int]
  /// Names the elements, in row-major order, in the files beside the cases; nil where there are none.
  let data: String?
  /// Whether the elements mean nothing, as those of `empty`.
  let isUndefined: Bool
  /// Relative and absolute, where others than the type's.
  let tolerance: [Double]?

  private enum Key: String, CodingKey {
    case dtype
    case sizes = "shape"
    case data = "d"
    case isUndefined = "undef"
    case tolerance = "tol"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    dtype = try object.dtype(.dtype)
    sizes = try object.decode([Int].self, forKey: .sizes)
    data = try object.decodeIfPresent(String.self, forKey: .data)
    isUndefined = try object.decodeIfPresent(Bool.self, forKey: .isUndefined) ?? false
    tolerance = try object.decodeIfPresent([Double].self, forKey: .tolerance)
  }
}

/// An input: a whole storage and the tensor's place in it. Strides, offset and count are in elements.
struct RecordedInput: Decodable, Sendable {
  let dtype: DType
  let layout: Layout
  let storageCount: Int
  let data: String?

  private enum Key: String, CodingKey {
    case dtype, shape, stride, offset, n, d
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    dtype = try object.dtype(.dtype)
    layout = Layout(
      sizes: [SymInt](try object.decode([Int].self, forKey: .shape)),
      strides: [SymInt](try object.decode([Int].self, forKey: .stride)),
      offset: SymInt(try object.decode(Int.self, forKey: .offset)))
    storageCount = try object.decode(Int.self, forKey: .n)
    data = try object.decodeIfPresent(String.self, forKey: .d)
  }
}

/// A result: a tensor, several, or something else.
enum RecordedOutput: Decodable, Sendable {
  case tensor(RecordedResult)
  case list([RecordedResult])
  case other(RecordedValue)

  private enum Key: String, CodingKey { case value }

  init(from decoder: any Decoder) throws {
    if let object = try? decoder.container(keyedBy: Key.self) {
      if object.contains(.value) {
        self = .other(try object.decode(RecordedValue.self, forKey: .value))
      } else {
        self = .tensor(try RecordedResult(from: decoder))
      }
    } else {
      self = .list(try decoder.singleValueContainer().decode([RecordedResult].self))
    }
  }
}

struct RecordedResult: Decodable, Sendable {
  let elements: RecordedElements
  let strides: [Int]?
  /// The input that the result is.
  let input: Int?
  /// The input whose memory the result shares.
  let alias: Int?
  let offset: Int?

  private enum Key: String, CodingKey {
    case input, alias, offset
    case strides = "stride"
  }

  init(from decoder: any Decoder) throws {
    elements = try RecordedElements(from: decoder)
    let object = try decoder.container(keyedBy: Key.self)
    strides = try object.decodeIfPresent([Int].self, forKey: .strides)
    input = try object.decodeIfPresent(Int.self, forKey: .input)
    alias = try object.decodeIfPresent(Int.self, forKey: .alias)
    offset = try object.decodeIfPresent(Int.self, forKey: .offset)
  }
}

/// An input after the call: its layout, and all elements of its storage.
struct RecordedMutation: Decodable, Sendable {
  let input: Int
  let elements: RecordedElements

  private enum Key: String, CodingKey { case input = "t" }

  init(from decoder: any Decoder) throws {
    input = try decoder.container(keyedBy: Key.self).decode(Int.self, forKey: .input)
    elements = try RecordedElements(from: decoder)
  }
}

/// The gradients that flow to inputs from one tangent per result, lists flattened.
struct RecordedGradient: Decodable, Sendable {
  let tangents: [RecordedElements?]
  let inputs: [Entry]

  private enum CodingKeys: String, CodingKey {
    case tangents
    case inputs = "in"
  }

  struct Entry: Decodable, Sendable {
    let input: Int
    /// nil where no gradient arrives.
    let elements: RecordedElements?

    private enum Key: String, CodingKey {
      case zero
      case input = "t"
    }

    init(from decoder: any Decoder) throws {
      let object = try decoder.container(keyedBy: Key.self)
      input = try object.decode(Int.self, forKey: .input)
      let isZero = try object.decodeIfPresent(Bool.self, forKey: .zero) ?? false
      elements = isZero ? nil : try RecordedElements(from: decoder)
    }
  }
}

/// How a call fails, and when.
struct RecordedError: Decodable, Sendable {
  enum Stage: String, Decodable, Sendable {
    case forward
    /// An input that cannot is made to require a gradient.
    case requiresGrad = "requires_grad"
    /// The backward pass, from ones.
    case backward
    /// The backward pass without a gradient to start from.
    case backwardImplicit = "backward_implicit"
    /// The backward pass, from a gradient with a dimension too many.
    case backwardBadTangent = "backward_bad_tangent"
  }

  let stage: Stage
  let message: String

  private enum CodingKeys: String, CodingKey {
    case stage
    case message = "msg"
  }
}
