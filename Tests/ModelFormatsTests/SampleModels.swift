import AOTAutograd
import Foundation
import ModelFormats

/// The models in Models/, which `models.py` made.
enum SampleModels {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Models")

  static func archive(_ name: String) -> URL { folder.appendingPathComponent("\(name)/\(name).pt2") }

  static func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: archive(name))) }

  static func model(_ name: String) throws -> ImportedModel { try ImportedModel(contentsOf: archive(name)) }

  /// The tensors that the model was exported with.
  static func inputs(_ name: String, _ prefix: String = "") throws -> [Tensor] {
    let file = try SafetensorsFile(contentsOf: folder.appendingPathComponent("\(name)/inputs.safetensors"))
    return try file.names.filter { $0.hasPrefix("\(prefix)in/") }.sorted().map { try file.tensor($0) }
  }

  static func expected(_ name: String, _ tensor: String) throws -> Tensor {
    try SafetensorsFile(contentsOf: folder.appendingPathComponent("\(name)/expected.safetensors")).tensor(tensor)
  }
}
