import Foundation
import GraphIR
import TensorCore

/// A folder of operator calls recorded from PyTorch: `ops.jsonl`, one call a line, `schemas.json`, and the elements of their
/// tensors in `t0.safetensors`, `t1.safetensors`, ….
public struct OperatorFacts {
  let cases: [OperatorCase]
  private let files: [String: TensorFile]
  private let folder: URL

  /// - Throws: `FactsError` naming the file, and the line of a case, that cannot be read.
  public init(folder: URL) throws {
    self.folder = folder
    let decoder = JSONDecoder()
    let lines: Data
    do {
      lines = try Data(contentsOf: folder.appendingPathComponent("ops.jsonl"))
    } catch {
      throw FactsError("\(folder.path) holds no recorded calls: ops.jsonl cannot be read")
    }
    self.cases = try lines.split(separator: UInt8(ascii: "\n")).enumerated().map { index, line in
      do {
        return try decoder.decode(OperatorCase.self, from: line)
      } catch {
        throw FactsError("ops.jsonl, line \(index + 1): \(error)")
      }
    }
    var files: [String: TensorFile] = [:]
    for url in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    where url.pathExtension == "safetensors" {
      files[String(url.deletingPathExtension().lastPathComponent.dropFirst())] = try TensorFile(url)
    }
    self.files = files
  }

  /// The recorded schemas, in PyTorch's schema language, and tags, by `name.overload`.
  public func schemas() throws -> [String: (schema: String, tags: [String])] {
    struct Entry: Decodable {
      let schema: String
      let tags: [String]
    }
    let data = try Data(contentsOf: folder.appendingPathComponent("schemas.json"))
    return try JSONDecoder().decode([String: Entry].self, from: data).mapValues { ($0.schema, $0.tags) }
  }

  /// The bytes of the elements that a reference such as `0/12` names: the file and the tensor.
  private func bytes(_ reference: String) throws -> Data {
    let parts = reference.split(separator: "/")
    guard parts.count == 2, let data = files[String(parts[0])]?[String(parts[1])] else {
      throw FactsError("there is no tensor \(reference)")
    }
    return data
  }

  /// An input over its whole storage.
  func tensor(_ input: RecordedInput) throws -> Tensor {
    let storage = try Storage(byteCount: input.storageCount * input.dtype.byteCount)
    if let reference = input.data { storage.fill(from: try bytes(reference)) }
    return try Tensor(storage: storage, layout: input.layout, dtype: input.dtype)
  }

  /// A dense tensor of recorded elements; nil where they mean nothing.
  func tensor(_ elements: RecordedElements) throws -> Tensor? {
    if elements.isUndefined { return nil }
    let tensor = try Tensor(uninitialized: Layout(contiguous: [SymInt](elements.sizes)), dtype: elements.dtype)
    if let reference = elements.data { tensor.storage.fill(from: try bytes(reference)) }
    return tensor
  }

  /// All elements of a storage, as one dimension; nil where they mean nothing.
  func storage(_ elements: RecordedElements) throws -> Tensor? {
    guard !elements.isUndefined, let reference = elements.data else { return nil }
    let bytes = try bytes(reference)
    let tensor = try Tensor(
      uninitialized: Layout(contiguous: [SymInt(bytes.count / elements.dtype.byteCount)]), dtype: elements.dtype)
    tensor.storage.fill(from: bytes)
    return tensor
  }
}

extension Storage {
  fileprivate func fill(from data: Data) {
    data.withUnsafeBytes { source in
      guard let from = source.baseAddress, let to = baseAddress else { return }
      to.copyMemory(from: from, byteCount: min(source.count, byteCount))
    }
  }

  /// The memory, byte for byte.
  var contents: Data { baseAddress.map { Data(bytes: $0, count: byteCount) } ?? Data() }
}
