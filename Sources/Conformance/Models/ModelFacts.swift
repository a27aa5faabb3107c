import Foundation
import GraphIR
import ModelFormats
import TensorCore

/// A folder of models that PyTorch exported and ran: each has an archive, inputs, and what came of them.
///
/// `<model>/` hold a whole model each, `format/<archive>/` a small archive with a corner of the format.
public struct ModelFacts {
  /// One recorded model.
  struct Entry {
    let name: String
    let facts: RecordedModel
    let archive: URL
    /// Tensors by name, of all files beside the archive.
    let tensors: RecordedTensors
  }

  let entries: [Entry]

  /// Reads the models whose names contain a text.
  ///
  /// - Throws: `FactsError` naming the folder or file that cannot be read.
  public init(folder: URL, filter: String? = nil) throws {
    let folders =
      try Self.folders(in: folder) + ((try? Self.folders(in: folder.appendingPathComponent("format"))) ?? [])
    entries = try folders.compactMap { folder in
      let isFormat = folder.deletingLastPathComponent().lastPathComponent == "format"
      let name = (isFormat ? "format/" : "") + folder.lastPathComponent
      let facts = folder.appendingPathComponent("facts.json")
      guard filter.map(name.contains) ?? true, FileManager.default.fileExists(atPath: facts.path) else { return nil }
      do {
        return Entry(
          name: name, facts: try JSONDecoder().decode(RecordedModel.self, from: Data(contentsOf: facts)),
          archive: folder.appendingPathComponent(folder.lastPathComponent + ".pt2"),
          tensors: try RecordedTensors(in: folder))
      } catch {
        throw FactsError("\(name) cannot be read: \(error)")
      }
    }
    guard !entries.isEmpty || filter != nil else { throw FactsError("\(folder.path) holds no recorded models") }
  }

  private static func folders(in folder: URL) throws -> [URL] {
    do {
      return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: [.isDirectoryKey])
        .filter { try $0.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
    } catch {
      throw FactsError("\(folder.path) cannot be read: \(error.localizedDescription)")
    }
  }
}

/// The tensors of a folder's files, by name.
struct RecordedTensors {
  private var files: [SafetensorsFile] = []

  init(in folder: URL) throws {
    for name in ["inputs", "batch_inputs", "expected"] {
      let url = folder.appendingPathComponent(name + ".safetensors")
      if FileManager.default.fileExists(atPath: url.path) { files.append(try SafetensorsFile(contentsOf: url)) }
    }
  }

  subscript(name: String) -> Tensor? {
    get throws { try files.first { $0.entry(name) != nil }?.tensor(name) }
  }

  /// What stands behind a prefix in the names that begin with it.
  func names(after prefix: String) -> [String] {
    files.flatMap(\.names).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }.sorted()
  }
}

/// What `facts.json` says of a model.
struct RecordedModel: Decodable {
  /// The inputs, flat.
  let inputs: [Input]
  /// Whether nothing about values is recorded, as of a model that draws random numbers.
  let isStructureOnly: Bool
  let lossIndex: Int
  let eager: Run?
  let training: Training?
  /// By batch size.
  let batches: [String: Run]
  let operators: [String: Int]
  /// The number of elements of all parameters; nil where it is not recorded.
  let parameterCount: Int?

  struct Input: Decodable {
    /// What is not a tensor; nil for a tensor, and where nothing is recorded.
    let constant: Value?

    private enum CodingKeys: String, CodingKey { case constant }

    init(from decoder: any Decoder) throws {
      let object = try decoder.container(keyedBy: CodingKeys.self)
      if !object.contains(.constant) {
        constant = nil
      } else if let value = try? object.decode(Bool.self, forKey: .constant) {
        constant = .bool(value)
      } else if let value = try? object.decode(Int.self, forKey: .constant) {
        constant = .int(SymInt(value))
      } else if let value = try? object.decode(Double.self, forKey: .constant) {
        constant = .double(value)
      } else if let value = try? object.decode(String.self, forKey: .constant) {
        constant = .string(value)
      } else {
        constant = Value.none
      }
    }
  }

  /// How far PyTorch's own single precision is from double precision, in one run.
  struct Run: Decodable {
    let outputs: [Output]
    let gradients: [String: Deviation]
    let buffers: [String: Deviation]

    struct Output: Decodable {
      let deviation: Double?

      private enum CodingKeys: String, CodingKey { case deviation = "max_abs_diff_f32" }
    }

    private enum CodingKeys: String, CodingKey {
      case outputs
      case gradients = "grads"
      case buffers = "buffers_after"
    }

    init(from decoder: any Decoder) throws {
      let object = try decoder.container(keyedBy: CodingKeys.self)
      outputs = try object.decodeIfPresent([Output].self, forKey: .outputs) ?? []
      gradients = try object.decodeIfPresent([String: Deviation].self, forKey: .gradients) ?? [:]
      buffers = try object.decodeIfPresent([String: Deviation].self, forKey: .buffers) ?? [:]
    }
  }

  struct Deviation: Decodable {
    let value: Double?

    private enum CodingKeys: String, CodingKey { case value = "max_abs_diff_f32" }
  }

  struct Training: Decodable {
    let rate: Double
    let momentum: Double
    let steps: Int
    /// Before each step, and after the last.
    let singleLosses: [Double]
    let doubleLosses: [Double]
    let deviation: Double

    private enum CodingKeys: String, CodingKey {
      case momentum, steps
      case rate = "lr"
      case singleLosses = "losses_f32"
      case doubleLosses = "losses_f64"
      case deviation = "max_param_diff_f32"
    }
  }

  private enum Key: String, CodingKey {
    case inputs, eager, batches, export, ops
    case isStructureOnly = "structure_only"
    case lossIndex = "loss_output_index"
    case training = "sgd"
    case parameterCount = "parameters"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    inputs = try object.decodeIfPresent([Input].self, forKey: .inputs) ?? []
    isStructureOnly = try object.decodeIfPresent(Bool.self, forKey: .isStructureOnly) ?? false
    lossIndex = try object.decodeIfPresent(Int.self, forKey: .lossIndex) ?? 0
    eager = try object.decodeIfPresent(Run.self, forKey: .eager)
    training = try object.decodeIfPresent(Training.self, forKey: .training)
    batches = try object.decodeIfPresent([String: Run].self, forKey: .batches) ?? [:]
    parameterCount = try object.decodeIfPresent(Int.self, forKey: .parameterCount)
    // Whole models have the histogram inside of what they say of the export.
    if object.contains(.export) {
      operators = try object.nestedContainer(keyedBy: Key.self, forKey: .export).decode(
        [String: Int].self, forKey: .ops)
    } else {
      operators = try object.decodeIfPresent([String: Int].self, forKey: .ops) ?? [:]
    }
  }
}
