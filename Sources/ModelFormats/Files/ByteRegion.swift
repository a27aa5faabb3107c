import Foundation
import TensorCore

/// Bytes that several storages may stand on: a mapped file, or memory.
///
/// A file is mapped privately: what is written to a tensor over it stays in this process and never reaches the file. A file
/// must not be shortened while it is mapped, as with every mapping; one that is replaced, as `AtomicFile` does, is no matter.
final class ByteRegion: @unchecked Sendable {
  // Sendable: address and count never change, and the bytes are as tensors' memory is: their users' matter.
  private let address: UnsafeMutableRawPointer?
  private let release: (UnsafeMutableRawPointer) -> Void
  let count: Int

  /// Maps a file.
  ///
  /// - Throws: `ModelFormatError` with code `inputOutput` where the system refuses, or where it is no regular file.
  convenience init(contentsOf url: URL) throws(ModelFormatError) {
    let name = url.lastPathComponent
    let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("cannot be opened", member: url.path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system("cannot be read", member: name) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw ModelFormatError(.inputOutput, "is no regular file", member: name)
    }
    let count = Int(status.st_size)
    guard count > 0 else {
      self.init(nil, count: 0) { _ in }
      return
    }
    let address = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw .system("cannot be mapped", member: name) }
    self.init(address, count: count) { munmap($0, count) }
  }

  /// Copies bytes.
  convenience init(_ bytes: [UInt8]) {
    // Aligned as allocations of storages are, so that tensors can stand on the copy as they do on a mapping.
    let address = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 64)
    bytes.withUnsafeBytes { source in
      if let start = source.baseAddress { address.copyMemory(from: start, byteCount: source.count) }
    }
    self.init(address, count: bytes.count) { $0.deallocate() }
  }

  private init(
    _ address: UnsafeMutableRawPointer?, count: Int, release: @escaping (UnsafeMutableRawPointer) -> Void
  ) {
    self.address = address
    self.count = count
    self.release = release
  }

  deinit {
    if let address { release(address) }
  }

  /// The bytes at a range, copied; nil where it is not inside.
  subscript(range: Range<Int>) -> [UInt8]? {
    guard range.lowerBound >= 0, range.upperBound <= count else { return nil }
    return Array(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(start: address, count: count)[range]))
  }

  /// An unsigned little-endian number of up to eight bytes; nil where it is not inside, or too large for an `Int`.
  func integer(at offset: Int, byteCount: Int) -> Int? {
    guard let address, offset >= 0, offset <= count - byteCount else { return nil }
    var value: UInt64 = 0
    for index in (0..<byteCount).reversed() {
      value = value << 8 | UInt64(address.load(fromByteOffset: offset + index, as: UInt8.self))
    }
    return Int(exactly: value)
  }

  /// The CRC-32 of the bytes at a range; nil where it is not inside.
  func checksum(of range: Range<Int>) -> UInt32? {
    guard range.lowerBound >= 0, range.upperBound <= count else { return nil }
    return CRC32.checksum(
      UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(start: address, count: count)[range]))
  }

  /// Memory for tensors: these very bytes where their address suits the elements, else a copy.
  ///
  /// - Throws: `ModelFormatError` where the range is not inside; `TensorError` where there is no memory for a copy.
  func storage(of range: Range<Int>, alignment: Int) throws -> Storage {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw ModelFormatError(.malformed, "bytes \(range) are not among the \(count) that there are")
    }
    guard let address, !range.isEmpty else { return try Storage(byteCount: 0) }
    let start = address + range.lowerBound
    if Int(bitPattern: start).isMultiple(of: alignment) {
      // The closure holds the region as long as the storage lives.
      return Storage(adopting: start, byteCount: range.count) { [self] _ in withExtendedLifetime(self) {} }
    }
    let storage = try Storage(byteCount: range.count)
    storage.baseAddress?.copyMemory(from: start, byteCount: range.count)
    return storage
  }
}

extension ModelFormatError {
  /// What the system said last.
  static func system(_ message: String, member: String) -> ModelFormatError {
    ModelFormatError(.inputOutput, "\(message): \(String(cString: strerror(errno)))", member: member)
  }
}
