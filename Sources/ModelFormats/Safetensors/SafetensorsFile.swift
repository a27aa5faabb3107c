import Foundation
import TensorCore

/// A file of named tensors in the safetensors format, which PyTorch's, JAX's and other packages write and read.
///
/// Opening checks the whole header. Tensors stand on the mapped file, without a copy, wherever the place of their elements
/// suits them: reading one costs nothing until its elements are used, and writing to it never changes the file.
///
///     let file = try SafetensorsFile(contentsOf: url)
///     let weight = try file.tensor("encoder.weight")
public struct SafetensorsFile: Sendable {
  /// The tensors, in the order of their elements.
  public let entries: [Entry]
  /// Text that the writer put there under `__metadata__`.
  public let metadata: [String: String]
  private let region: ByteRegion
  private let dataStart: Int
  private let positions: [String: Int]

  /// A tensor of a file, unread.
  public struct Entry: Hashable, Sendable {
    public let name: String
    public let type: SafetensorsType
    public let shape: [Int]
    /// Where its elements are, in bytes from the end of the header.
    public let byteRange: Range<Int>
  }

  /// Opens a file and checks its header.
  ///
  /// - Throws: `ModelFormatError` naming the file: with code `inputOutput` where it cannot be read, `malformed` where the header
  ///   is not what the format demands, or does not agree with the bytes that are there.
  public init(contentsOf url: URL) throws(ModelFormatError) {
    do {
      try self.init(ByteRegion(contentsOf: url))
    } catch {
      throw error.inside(member: url.lastPathComponent)
    }
  }

  /// Checks a file that is in memory.
  ///
  /// - Throws: `ModelFormatError` with code `malformed`.
  public init(_ bytes: [UInt8]) throws(ModelFormatError) {
    try self.init(ByteRegion(bytes))
  }

  init(_ region: ByteRegion) throws(ModelFormatError) {
    guard let headerCount = region.integer(at: 0, byteCount: 8) else {
      throw ModelFormatError(.malformed, "a file of \(region.count) bytes does not hold the size of a header")
    }
    guard headerCount <= SafetensorsHeader.maximumByteCount, headerCount <= region.count - 8,
      let bytes = region[8..<8 + headerCount]
    else {
      throw ModelFormatError(
        .malformed, "a header of \(headerCount) bytes does not fit into a file of \(region.count) bytes")
    }
    dataStart = 8 + headerCount
    let header = try SafetensorsHeader(parsing: bytes, dataCount: region.count - dataStart)
    self.region = region
    entries = header.entries
    metadata = header.metadata
    positions = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
  }

  public var names: [String] { entries.map(\.name) }

  /// What the file says of a tensor; nil where it holds none of that name.
  public func entry(_ name: String) -> Entry? { positions[name].map { entries[$0] } }

  /// A tensor, dense and row-major, over storage of its own.
  ///
  /// - Throws: `ModelFormatError` with code `notFound`, or `unsupported` for a type that this package does not have.
  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entry(name) else {
      throw ModelFormatError(.notFound, "there is no tensor '\(name)'")
    }
    guard let dtype = entry.type.dtype else {
      throw ModelFormatError(.unsupported, "tensor '\(name)' has elements of type \(entry.type.rawValue)")
    }
    let (start, end) = (dataStart + entry.byteRange.lowerBound, dataStart + entry.byteRange.upperBound)
    let storage = try region.storage(of: start..<end, alignment: dtype.byteCount)
    return try Tensor(storage: storage, layout: Layout(contiguous: [SymInt](entry.shape)), dtype: dtype)
  }

  /// All tensors, by name.
  public func tensors() throws -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: try entries.map { ($0.name, try tensor($0.name)) })
  }
}
