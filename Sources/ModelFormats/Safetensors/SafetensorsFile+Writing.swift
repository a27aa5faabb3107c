import EagerAutograd
import Foundation
import Operators
import TensorCore

extension SafetensorsFile {
  /// Writes tensors to a file, which appears whole or not at all: a file of that name stays as it was until the new one is on
  /// the disk.
  ///
  /// Strides, shared memory and gradients are no part of the format: elements are written row-major.
  ///
  /// - Parameters:
  ///   - metadata: Text to keep beside them.
  /// - Throws: `ModelFormatError` with code `invalidArgument` for a name that occurs twice or is `__metadata__`, and for a tensor
  ///   without elements that the CPU can read; `inputOutput` where the system refuses.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to url: URL
  ) throws {
    try write(tensors, metadata: metadata, to: url, calls: .system)
  }

  /// - Parameter calls: What asks the system.
  package static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String], to url: URL, calls: FileCalls
  ) throws {
    // The largest elements first: each tensor then begins at a multiple of its elements' size.
    let ordered = tensors.sorted { ($1.tensor.dtype.byteCount, $0.name) < ($0.tensor.dtype.byteCount, $1.name) }
    var entries: [Entry] = []
    var names: Set<String> = [SafetensorsHeader.metadataKey]
    var position = 0
    for (name, tensor) in ordered {
      guard names.insert(name).inserted else {
        throw ModelFormatError(.invalidArgument, "'\(name)' cannot be the name of a tensor, or of a second one")
      }
      guard tensor.device.kind == .cpu, !tensor.isFake, tensor.wrapperMeta == nil else {
        throw ModelFormatError(.invalidArgument, "tensor '\(name)' has no elements that could be read: \(tensor)")
      }
      let end = position + tensor.elementCount * tensor.dtype.byteCount
      entries.append(
        Entry(name: name, type: SafetensorsType(tensor.dtype), shape: tensor.shape, byteRange: position..<end))
      position = end
    }
    var file = try AtomicFile(replacing: url, calls: calls)
    let header = SafetensorsHeader(entries: entries, metadata: metadata).bytes
    guard header.count - 8 <= SafetensorsHeader.maximumByteCount else {
      throw ModelFormatError(.invalidArgument, "a header of \(header.count) bytes is more than readers accept")
    }
    try header.withUnsafeBytes { try file.write($0) }
    for (_, tensor) in ordered {
      let dense = try noGrad { try tensor.contiguous() }
      let count = dense.elementCount * dense.dtype.byteCount
      try withExtendedLifetime(dense) {
        try file.write(UnsafeRawBufferPointer(start: dense.dataAddress, count: count))
      }
    }
    try file.commit()
  }

  /// Writes tensors to a file in the order of their names; see the other `write`.
  public static func write(_ tensors: [String: Tensor], metadata: [String: String] = [:], to url: URL) throws {
    try write(tensors.map { (name: $0.key, tensor: $0.value) }, metadata: metadata, to: url)
  }
}
