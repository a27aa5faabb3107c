import AOTAutograd
import Foundation
import ModelFormats

/// Inputs of an imported model from a file of tensors.
enum ModelInputs {
  /// The model's inputs, flat: tensors by the names of the inputs, or as `in/0`, `in/1`, …; constants as the program has them.
  static func read(_ path: String, for model: ImportedModel) throws -> [Value] {
    let file = try SafetensorsFile(contentsOf: URL(fileURLWithPath: path))
    let numbered = file.names.filter { $0.hasPrefix("in/") }.sorted { ($0.count, $0) < ($1.count, $1) }
    let named = model.inputNames.filter { file.entry($0) != nil }
    let names = named.isEmpty ? numbered : named
    guard !names.isEmpty else {
      throw DataError(
        description: "\(path) has no tensors named \(model.inputNames.joined(separator: ", ")), nor in/0, in/1, …")
    }
    return try model.inputs(names.map { try file.tensor($0) })
  }
}
