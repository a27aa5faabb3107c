import Foundation
import TensorCore

/// A text as bytes, the first 90 % to train on, the rest to validate with.
///
/// The default is the Book of Genesis in the King James Version, which is in the public domain.
struct TextData {
  let training: ArraySlice<UInt8>
  let validation: ArraySlice<UInt8>

  /// - Throws: `DataError` where a part would be too short for one sequence of `context` bytes and the byte after it.
  init(_ bytes: [UInt8], context: Int) throws(DataError) {
    let boundary = bytes.count * 9 / 10
    training = bytes[..<boundary]
    validation = bytes[boundary...]
    guard validation.count > context else {
      throw DataError(
        description:
          "a text of \(bytes.count) bytes is too short: its last tenth must be longer than the context, \(context)")
    }
  }

  static func genesisBytes() throws(DataError) -> [UInt8] {
    let bytes = try genesis.verifiedBytes(checksum: genesisChecksum, name: "text of Genesis")
    guard bytes.count == genesisByteCount else {
      throw DataError(description: "the embedded text is \(bytes.count) bytes, not \(genesisByteCount)")
    }
    return bytes
  }

  static func bytes(ofFile path: String) throws(DataError) -> [UInt8] {
    do {
      return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    } catch {
      throw DataError(description: "cannot read \(path): \(error.localizedDescription)")
    }
  }

  /// The files in a folder, and in the folders in it, whose names end so.
  static func files(inFolder path: String, extensions: Set<String>) throws(DataError) -> [[UInt8]] {
    guard let entries = FileManager.default.enumerator(atPath: path) else {
      throw DataError(description: "cannot read the folder \(path)")
    }
    let names = entries.compactMap { $0 as? String }.filter { name in
      extensions.contains(URL(fileURLWithPath: name).pathExtension)
    }
    var files: [[UInt8]] = []
    for name in names.sorted() { files.append(try bytes(ofFile: path + "/" + name)) }
    return files
  }

  /// Sequences of bytes and, for each byte, the one that follows it: both i64[starts, context].
  static func batch(_ part: ArraySlice<UInt8>, starts: [Int], context: Int) throws -> (inputs: Tensor, targets: Tensor)
  {
    func tensor(shiftedBy shift: Int) throws -> Tensor {
      let elements = starts.flatMap { start in
        part[(part.startIndex + start + shift)...].prefix(context).map { Int64($0) }
      }
      return try Tensor(elements, shape: [starts.count, context])
    }
    return (try tensor(shiftedBy: 0), try tensor(shiftedBy: 1))
  }

  /// Random places in a part where a sequence can begin.
  static func starts(in part: ArraySlice<UInt8>, count: Int, context: Int, by random: inout SeededRandom) -> [Int] {
    (0..<count).map { _ in Int.random(in: 0..<part.count - context, using: &random) }
  }

  /// Places that cut a part into disjoint sequences; what fills none is left out.
  static func coveringStarts(in part: ArraySlice<UInt8>, context: Int) -> [Int] {
    (0..<(part.count - 1) / context).map { $0 * context }
  }
}
