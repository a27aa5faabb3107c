import AOTAutograd
import Foundation
import ModelFormats

/// The state of a training in a file: what it takes to go on bit for bit as if it had never stopped.
///
///     let checkpoint = try Checkpoint([
///       "model": model, "optimizer": optimizer, "schedule": scheduler, "generator": Generator.default,
///     ])
///     try checkpoint.save(to: file)
///     try checkpoint.restore(from: file)
///
/// The file is in the safetensors format, which PyTorch's package reads; a tensor is named after its part, as in
/// `model.layers.0.weight` or `optimizer.layers.0.weight.exp_avg`.
public struct Checkpoint {
  private let parts: [(name: String, part: any Checkpointable)]

  /// - Parameter parts: What is saved and restored, by name.
  /// - Throws: `ModuleError` with code `duplicateName`; `invalidSetting` for a name that is empty or has a dot in it.
  public init(_ parts: KeyValuePairs<String, any Checkpointable>) throws(ModuleError) {
    for (index, (name, _)) in parts.enumerated() {
      guard !name.isEmpty, !name.contains(".") else {
        throw ModuleError(.invalidSetting, "'\(name)' cannot name a part of a checkpoint: a dot ends such a name")
      }
      guard !parts.prefix(index).contains(where: { $0.key == name }) else {
        throw ModuleError(.duplicateName, "a checkpoint has two parts named '\(name)'")
      }
    }
    self.parts = parts.map { ($0.key, $0.value) }
  }

  /// Writes the state of all parts. A file of that name stays as it was until the new one is on the disk, whole.
  ///
  /// - Throws: `ModelFormatError` where the system refuses; what a part throws.
  public func save(to url: URL) throws { try save(to: url, calls: .system) }

  /// - Parameter calls: What asks the system.
  package func save(to url: URL, calls: FileCalls) throws {
    let entries = try parts.flatMap { name, part in try part.checkpointState.entries.named(inside: name) }
    try SafetensorsFile.write(
      entries.map { ($0.name, $0.tensor) }, metadata: ["format": "pt"], to: url, calls: calls)
  }

  /// Takes over the state of all parts.
  ///
  /// - Throws: `ModelFormatError` where the file cannot be read or is damaged, `ModuleError` where its state does not fit. Nothing
  ///   has changed then.
  public func restore(from url: URL) throws {
    let file = try SafetensorsFile(contentsOf: url)
    let state = try StateDict(file.entries.map { NamedTensor($0.name, try file.tensor($0.name)) })
    let known = Set(parts.map(\.name))
    if let stranger = state.names.first(where: { !known.contains(String($0.prefix { $0 != "." })) }) {
      throw ModuleError(
        .unexpectedName,
        "\(url.lastPathComponent) holds '\(stranger)', which is of none of the parts \(parts.map(\.name))")
    }
    let restorations = try parts.map { name, part in
      do {
        return try part.restoration(from: state.inside(name))
      } catch var error as ModuleError {
        error.message = "\(url.lastPathComponent), part '\(name)': \(error.message)"
        throw error
      }
    }
    for restore in restorations { try restore() }
  }
}
