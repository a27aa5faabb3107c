import EagerAutograd
import GraphIR
import TensorCore

/// The tensors that a program comes with, over the memory of the archive.
struct ModelState {
  /// Parameters, each once, under its first name.
  private(set) var parameters: [ImportedModel.NamedTensor] = []
  private(set) var buffers: [ImportedModel.NamedTensor] = []
  private(set) var constants: [ImportedModel.NamedTensor] = []
  /// The first name of each parameter that has another.
  private(set) var tiedNames: [String: String] = [:]
  /// All of them, under every name.
  private(set) var attributes: [String: Tensor] = [:]

  private var storages: [String: Storage] = [:]

  /// Equal places in one member are one parameter.
  private struct Place: Hashable {
    var member: String
    var dtype: DType
    var layout: Layout
  }

  /// - Throws: `ModelFormatError` naming the parameter, buffer or constant, and its member.
  init(_ program: ExportedProgram, _ archive: PT2Archive, payloads: [String: Payload]) throws {
    var known: [Place: String] = [:]
    for spec in program.inputs {
      switch spec {
      case .parameter(let name):
        let (tensor, place) = try tensor(name, archive, payloads)
        if let first = known[place], let tied = attributes[first], !place.layout.isEmpty {
          tiedNames[name] = first
          attributes[name] = tied
        } else {
          known[place] = name
          if payloads[name]?.meta.requiresGrad == true { _ = try tensor.requiringGrad() }
          parameters.append(.init(name: name, tensor: tensor))
          attributes[name] = tensor
        }
      case .buffer(let name):
        let (tensor, _) = try tensor(name, archive, payloads)
        buffers.append(.init(name: name, tensor: tensor))
        attributes[name] = tensor
      case .tensorConstant(let name):
        let (tensor, _) = try tensor(name, archive, payloads)
        constants.append(.init(name: name, tensor: tensor))
        attributes[name] = tensor
      case .userInput, .constant: continue
      }
    }
    storages = [:]
  }

  private mutating func tensor(
    _ name: String, _ archive: PT2Archive, _ payloads: [String: Payload]
  ) throws -> (Tensor, Place) {
    guard let payload = payloads[name] else {
      throw ModelFormatError(.malformed, "the archive has no weight or constant '\(name)'")
    }
    guard attributes[name] == nil else {
      throw ModelFormatError(.malformed, "'\(name)' is an input twice")
    }
    do {
      guard !payload.isPickled else {
        throw ModelFormatError(.unsupported, "'\(name)' is stored as a Python object, not as elements")
      }
      let dtype = try payload.meta.type.known()
      let layout = try payload.meta.layout(dtype)
      let storage = try storage(of: payload, archive)
      return (
        try Tensor(storage: storage, layout: layout, dtype: dtype),
        Place(member: payload.member, dtype: dtype, layout: layout)
      )
    } catch let error as ModelFormatError {
      throw error.inside(member: payload.member)
    } catch {
      throw ModelFormatError(.malformed, "'\(name)' does not fit its bytes: \(error)", member: payload.member)
    }
  }

  private mutating func storage(of payload: Payload, _ archive: PT2Archive) throws -> Storage {
    if let known = storages[payload.member] { return known }
    let storage = try archive.storage(of: payload)
    storages[payload.member] = storage
    return storage
  }
}
