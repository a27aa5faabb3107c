import Foundation
import GraphIR
import TensorCore

/// Damages archives, files of tensors and programs at random, and checks that each is read or refused: `aot fuzz archives` and
/// the tests run it.
///
/// Bytes are damaged anywhere, and members of an archive by themselves, with the archive put together around them: what is in
/// them is then looked at, which a wrong checksum would have kept from being. What can be read is also run, on tensors without
/// memory.
public struct ArchiveFuzzer {
  /// What came of the files.
  public struct Report: Sendable {
    public internal(set) var read = 0
    public internal(set) var refused = 0
    /// Of the programs that were read, those that ran to their end.
    public internal(set) var ran = 0
    /// How long the slowest case took, and which it was.
    public internal(set) var slowest: (duration: Duration, number: Int) = (.zero, 0)
  }

  private let files: [File]
  private let seed: UInt64

  private struct File {
    let bytes: [UInt8]
    /// The members of an archive; nil for a file of tensors.
    let members: [(name: String, bytes: [UInt8])]?
  }

  /// - Parameter files: Archives and files of tensors to begin with, small ones.
  /// - Throws: `ModelFormatError` where there is none, or where one cannot be read as it is.
  public init(_ files: [[UInt8]], seed: UInt64) throws {
    guard !files.isEmpty else { throw ModelFormatError(.invalidArgument, "a fuzzer needs files to begin with") }
    self.seed = seed
    self.files = try files.map { bytes in
      guard bytes.starts(with: [0x50, 0x4B]) else {
        _ = try SafetensorsFile(bytes)
        return File(bytes: bytes, members: nil)
      }
      let archive = try ZipArchive(ByteRegion(bytes))
      return File(bytes: bytes, members: try archive.names.map { ($0, try archive.bytes(of: $0)) })
    }
  }

  /// Tries cases by number: each depends on its number and the seed alone.
  public func run(_ numbers: Range<Int>, progress: (Int, Report) -> Void = { _, _ in }) -> Report {
    var report = Report()
    for number in numbers {
      let start = ContinuousClock.now
      let (bytes, isArchive) = file(number)
      do {
        if isArchive { try readProgram(bytes, &report) } else { _ = try SafetensorsFile(bytes).tensors() }
        report.read += 1
      } catch {
        report.refused += 1
      }
      let duration = ContinuousClock.now - start
      if duration > report.slowest.duration { report.slowest = (duration, number) }
      progress(number, report)
    }
    return report
  }

  private func readProgram(_ bytes: [UInt8], _ report: inout Report) throws {
    var module = try ImportedModel(bytes).module
    do {
      try FakePropagation().run(on: &module)
      report.ran += 1
    } catch {
      // An error is as right an answer as a result.
    }
  }

  // MARK: - Damage

  /// The file of a case, damaged.
  func file(_ number: Int) -> (bytes: [UInt8], isArchive: Bool) {
    var random = SplitMix(seed: seed, stream: UInt64(number))
    let file = random.pick(files)
    guard var members = file.members else { return (damagedTensors(file.bytes, &random), false) }
    if random.chance(25) { return (Self.damaged(file.bytes, &random), true) }
    for _ in 0..<(random.chance(60) ? 1 : 3) {
      let position = random.below(members.count)
      switch random.below(12) {
      case 0: members[position].name = String(members[random.below(members.count)].name.dropLast(random.below(2)))
      case 1: members.remove(at: position)
      case 2: members.insert(members[position], at: random.below(members.count))
      default:
        let isText = members[position].bytes.first == UInt8(ascii: "{")
        members[position].bytes =
          isText
          ? Self.damagedText(members[position].bytes, &random)
          : Self.damaged(members[position].bytes, &random)
      }
      if members.isEmpty { break }
    }
    return (StoredArchive.bytes(members), true)
  }

  /// A file of tensors, damaged anywhere, or in its header with the size of that put right.
  private func damagedTensors(_ bytes: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    let count = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    guard random.chance(70), 8 + count <= bytes.count else { return Self.damaged(bytes, &random) }
    let header = Self.damagedText(Array(bytes[8..<8 + count]), &random)
    return (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header + bytes[(8 + count)...]
  }

  private static func damaged(_ bytes: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    var bytes = bytes
    for _ in 0...random.below(4) {
      let place = random.below(bytes.count + 1)
      let end = min(bytes.count, place + random.below(16))
      switch random.below(6) {
      case 0: bytes.removeSubrange(place..<end)
      case 1: bytes.removeSubrange(place...)
      case 2: for index in place..<end { bytes[index] = 0xFF }
      case 3: bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count + 1))
      default: if place < bytes.count { bytes[place] ^= 1 << UInt8(random.below(8)) }
      }
    }
    return bytes
  }

  /// What numbers and words of a program are replaced by.
  private static let fragments: [[UInt8]] = [
    "-1", "0", "1", "7", "4096", "2147483648", "9223372036854775807", "-9223372036854775808", "18446744073709551616",
    "1e308", "1e999", "0.5", "null", "true", "[]", "{}", "\"\"", "\"NaN\"", "{\"as_none\":true}", "{\"as_int\":3}",
    "{\"as_tensor\":{\"name\":\"x\"}}", "{\"as_ints\":[4611686018427387904]}", ",", "}", "]", "\"",
    String(repeating: "[", count: 300), String(repeating: "{\"a\":", count: 120),
  ].map { Array($0.utf8) }

  /// JSON with words, numbers and parts exchanged: most of it is JSON still.
  private static func damagedText(_ text: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    var text = text
    for _ in 0..<(random.chance(60) ? 1 : 4) {
      let (one, other) = (
        word(near: random.below(text.count), in: text), word(near: random.below(text.count), in: text)
      )
      switch random.below(8) {
      case 0, 1: text.replaceSubrange(one, with: random.pick(fragments))
      case 2, 3, 4: text.replaceSubrange(one, with: Array(text[other]))
      case 5: text.removeSubrange(one.lowerBound..<min(text.count, one.upperBound + random.below(80)))
      case 6:
        text.insert(
          contentsOf: Array(text[other.lowerBound..<min(text.count, other.upperBound + 40)]), at: one.lowerBound)
      default: text = damaged(text, &random)
      }
      if text.isEmpty { break }
    }
    return text
  }

  /// The word or number that a place lies in, quotation marks left out.
  private static func word(near place: Int, in text: [UInt8]) -> Range<Int> {
    func isPart(_ byte: UInt8) -> Bool {
      (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
        || byte == UInt8(ascii: "-")
    }
    var start = place
    while start < text.count, !isPart(text[start]) { start += 1 }
    var end = start
    while start > 0, isPart(text[start - 1]) { start -= 1 }
    while end < text.count, isPart(text[end]) { end += 1 }
    return start..<end
  }
}
