import TensorCore

/// What is to come of a call.
struct Expectation: Decodable, Sendable {
  let error: ExpectedError?
  let outputs: [ExpectedOutput]
  /// nil for an input that is no tensor.
  let inputsAfter: [ExpectedInput?]
  let storagesAfter: [RecordedStorage]
  let isGradEnabledAfter: Bool?
  let steps: [ExpectedStep]
  /// The lines that effects wrote, where there are any.
  let effectLog: [String]?

  private enum CodingKeys: String, CodingKey {
    case error, outputs, steps
    case inputsAfter = "inputs_after"
    case storagesAfter = "storages_after"
    case isGradEnabledAfter = "grad_enabled_after"
    case effectLog = "effect_log"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    error = try object.decodeIfPresent(ExpectedError.self, forKey: .error)
    outputs = try object.decodeIfPresent([ExpectedOutput].self, forKey: .outputs) ?? []
    inputsAfter = try object.decodeIfPresent([ExpectedInput?].self, forKey: .inputsAfter) ?? []
    storagesAfter = try object.decodeIfPresent([RecordedStorage].self, forKey: .storagesAfter) ?? []
    isGradEnabledAfter = try object.decodeIfPresent(Bool.self, forKey: .isGradEnabledAfter)
    steps = try object.decodeIfPresent([ExpectedStep].self, forKey: .steps) ?? []
    effectLog = try object.decodeIfPresent([String].self, forKey: .effectLog)
  }
}

struct ExpectedError: Decodable, Sendable {
  let category: String
  let message: String

  private enum CodingKeys: String, CodingKey {
    case category
    case message = "first_line"
  }
}

/// A value that a call gives.
enum ExpectedOutput: Decodable, Sendable {
  case none
  case int(Int)
  case tensor(ExpectedTensor)

  private enum CodingKeys: String, CodingKey { case kind, value }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    switch try object.decode(String.self, forKey: .kind) {
    case "none": self = .none
    case "tensor": self = .tensor(try ExpectedTensor(from: decoder))
    default: self = .int(try object.decode(Int.self, forKey: .value))
    }
  }
}

/// A tensor that a call gives, and what it has to do with others.
struct ExpectedTensor: Decodable, Sendable {
  let literal: TensorLiteral
  let requiresGrad: Bool
  let isLeaf: Bool
  /// The input, or earlier output, that it is.
  let sameAsInput: Int?
  let sameAsOutput: Int?
  let sharesStorageWithInputs: [Int]
  let sharesStorageWithOutputs: [Int]

  private enum CodingKeys: String, CodingKey {
    case requiresGrad = "requires_grad"
    case isLeaf = "is_leaf"
    case sameAsInput = "same_as_input"
    case sameAsOutput = "same_as_output"
    case sharesStorageWithInputs = "shares_storage_with_inputs"
    case sharesStorageWithOutputs = "shares_storage_with_outputs"
  }

  init(from decoder: any Decoder) throws {
    literal = try TensorLiteral(from: decoder)
    let object = try decoder.container(keyedBy: CodingKeys.self)
    requiresGrad = try object.decode(Bool.self, forKey: .requiresGrad)
    isLeaf = try object.decode(Bool.self, forKey: .isLeaf)
    sameAsInput = try object.decodeIfPresent(Int.self, forKey: .sameAsInput)
    sameAsOutput = try object.decodeIfPresent(Int.self, forKey: .sameAsOutput)
    sharesStorageWithInputs = try object.decode([Int].self, forKey: .sharesStorageWithInputs)
    sharesStorageWithOutputs = try object.decode([Int].self, forKey: .sharesStorageWithOutputs)
  }
}

/// An input after a call.
struct ExpectedInput: Decodable, Sendable {
  /// Its metadata, and its elements where those or the metadata changed. Strides and offset are always there.
  let literal: TensorLiteral
  let hasElements: Bool
  /// nil where it lies in memory that the call made.
  let storage: Int?
  let requiresGrad: Bool
  let isLeaf: Bool

  private enum CodingKeys: String, CodingKey {
    case storage, data, shape
    case requiresGrad = "requires_grad"
    case isLeaf = "is_leaf"
  }

  init(from decoder: any Decoder) throws {
    literal = try TensorLiteral(from: decoder)
    let object = try decoder.container(keyedBy: CodingKeys.self)
    hasElements = object.contains(.data)
    storage = try object.decodeIfPresent(Int.self, forKey: .storage)
    requiresGrad = try object.decode(Bool.self, forKey: .requiresGrad)
    isLeaf = try object.decode(Bool.self, forKey: .isLeaf)
  }
}

/// What is to come of a step after the call.
struct ExpectedStep: Decodable, Sendable {
  let error: ExpectedError?
  /// One per leaf; nil for one without a gradient.
  let gradients: [TensorLiteral?]
  let secondGradients: [TensorLiteral?]
  let secondError: ExpectedError?
  let storagesAfter: [RecordedStorage]?
  /// What a program returned, and what the call's outputs are by then.
  let values: [ExpectedElements]
  let outputs: [ExpectedElements]

  private enum CodingKeys: String, CodingKey {
    case error, values, outputs
    case gradients = "grads"
    case secondGradients = "second_grads"
    case secondError = "second_error"
    case storagesAfter = "storages_after"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    error = try object.decodeIfPresent(ExpectedError.self, forKey: .error)
    gradients = try object.decodeIfPresent([TensorLiteral?].self, forKey: .gradients) ?? []
    secondGradients = try object.decodeIfPresent([TensorLiteral?].self, forKey: .secondGradients) ?? []
    secondError = try object.decodeIfPresent(ExpectedError.self, forKey: .secondError)
    storagesAfter = try object.decodeIfPresent([RecordedStorage].self, forKey: .storagesAfter)
    values = try object.decodeIfPresent([ExpectedElements].self, forKey: .values) ?? []
    outputs = try object.decodeIfPresent([ExpectedElements].self, forKey: .outputs) ?? []
  }
}

/// A tensor as it is to be by then; nothing where a value is no tensor.
struct ExpectedElements: Decodable, Sendable {
  let literal: TensorLiteral?
  let requiresGrad: Bool?

  private enum CodingKeys: String, CodingKey {
    case shape
    case requiresGrad = "requires_grad"
  }

  init(from decoder: any Decoder) throws {
    guard let object = try? decoder.container(keyedBy: CodingKeys.self), object.contains(.shape) else {
      (literal, requiresGrad) = (nil, nil)
      return
    }
    literal = try TensorLiteral(from: decoder)
    requiresGrad = try object.decodeIfPresent(Bool.self, forKey: .requiresGrad)
  }
}
