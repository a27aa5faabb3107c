import GraphIR

/// What stands before the elements in a file of tensors: their names, types, shapes and places, and text of the writer's own.
///
/// The format: eight bytes give the size of the header, little-endian; the header is a JSON object, with blanks after it; the
/// elements of all tensors follow, row-major, each tensor beginning where another ends. See
/// https://github.com/huggingface/safetensors.
struct SafetensorsHeader {
  var entries: [SafetensorsFile.Entry] = []
  var metadata: [String: String] = [:]

  static let metadataKey = "__metadata__"
  /// The largest header that readers accept, in bytes.
  static let maximumByteCount = 100_000_000

  /// Reads and checks a header.
  ///
  /// - Parameter dataCount: The bytes that follow it, all of which tensors have to cover.
  init(parsing bytes: [UInt8], dataCount: Int) throws(ModelFormatError) {
    guard bytes.first == UInt8(ascii: "{") else {
      throw ModelFormatError(.malformed, "the header does not begin with '{'")
    }
    let json: JSONValue
    do {
      json = try JSONValue(parsing: bytes)
    } catch {
      throw ModelFormatError(.malformed, "the header is no JSON: \(error.message)")
    }
    guard case .object(let members) = json else {
      throw ModelFormatError(.malformed, "the header is \(json.kind), not an object")
    }
    var names: Set<String> = []
    for member in members {
      guard names.insert(member.key).inserted else {
        throw ModelFormatError(.malformed, "there are two tensors named '\(member.key)'")
      }
      if member.key == Self.metadataKey {
        metadata = try Self.metadata(member.value)
      } else {
        entries.append(try Self.entry(named: member.key, member.value))
      }
    }
    entries.sort {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound) < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    try checkPlaces(dataCount: dataCount)
  }

  private func checkPlaces(dataCount: Int) throws(ModelFormatError) {
    var end = 0
    for entry in entries {
      guard entry.byteRange.lowerBound == end else {
        let what = entry.byteRange.lowerBound < end ? "overlaps the tensor before it" : "leaves a hole before it"
        throw ModelFormatError(
          .malformed, "tensor '\(entry.name)' begins at byte \(entry.byteRange.lowerBound), not \(end): it \(what)")
      }
      end = entry.byteRange.upperBound
    }
    guard end == dataCount else {
      throw ModelFormatError(.malformed, "the tensors have \(end) bytes, but \(dataCount) follow the header")
    }
  }

  private static func metadata(_ json: JSONValue) throws(ModelFormatError) -> [String: String] {
    guard case .object(let members) = json else {
      throw ModelFormatError(.malformed, "\(metadataKey) is \(json.kind), not an object of strings")
    }
    var metadata: [String: String] = [:]
    for member in members {
      guard case .string(let value) = member.value else {
        throw ModelFormatError(
          .malformed, "\(metadataKey) holds \(member.value.kind) under '\(member.key)', not a string")
      }
      guard metadata.updateValue(value, forKey: member.key) == nil else {
        throw ModelFormatError(.malformed, "\(metadataKey) holds '\(member.key)' twice")
      }
    }
    return metadata
  }

  private static func entry(named name: String, _ json: JSONValue) throws(ModelFormatError) -> SafetensorsFile.Entry {
    guard case .object(let members) = json else {
      throw ModelFormatError(.malformed, "tensor '\(name)' is described by \(json.kind), not an object")
    }
    let known = ["dtype", "shape", "data_offsets"]
    guard members.map(\.key).sorted() == known.sorted() else {
      throw ModelFormatError(
        .malformed,
        "tensor '\(name)' is described by \(members.map(\.key)), not by \(known.joined(separator: ", "))")
    }
    guard case .string(let typeName)? = json["dtype"], let type = SafetensorsType(rawValue: typeName) else {
      throw ModelFormatError(
        .malformed,
        "the dtype of tensor '\(name)' is \(json["dtype"]?.text ?? "missing"), which the format does not have")
    }
    let shape = try sizes(json["shape"], "shape", of: name)
    let offsets = try sizes(json["data_offsets"], "data_offsets", of: name)
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw ModelFormatError(.malformed, "the data_offsets of tensor '\(name)' are \(offsets), not begin and end")
    }
    var bitCount = type.bitCount
    for size in shape {
      let (product, overflow) = bitCount.multipliedReportingOverflow(by: size)
      guard !overflow else {
        throw ModelFormatError(.malformed, "tensor '\(name)' of shape \(shape) is larger than any memory")
      }
      bitCount = product
    }
    guard bitCount.isMultiple(of: 8), bitCount / 8 == offsets[1] - offsets[0] else {
      throw ModelFormatError(
        .malformed,
        "tensor '\(name)' of type \(typeName) and shape \(shape) has \(bitCount) bits, but its place has "
          + "\(offsets[1] - offsets[0]) bytes")
    }
    return .init(name: name, type: type, shape: shape, byteRange: offsets[0]..<offsets[1])
  }

  private static func sizes(
    _ json: JSONValue?, _ role: String, of name: String
  ) throws(ModelFormatError) -> [Int] {
    guard case .array(let values)? = json else {
      throw ModelFormatError(.malformed, "the \(role) of tensor '\(name)' is no array")
    }
    var sizes: [Int] = []
    for value in values {
      guard case .int(let size) = value, size >= 0 else {
        throw ModelFormatError(
          .malformed, "the \(role) of tensor '\(name)' has \(value.text) in it, which is no size or place")
      }
      sizes.append(size)
    }
    return sizes
  }
}

// MARK: - Writing

extension SafetensorsHeader {
  init(entries: [SafetensorsFile.Entry], metadata: [String: String]) {
    self.entries = entries
    self.metadata = metadata
  }

  /// The header with its size before it and blanks after it, so that the elements begin at a multiple of 64 bytes.
  var bytes: [UInt8] {
    var members: [JSONValue.Member] = []
    if !metadata.isEmpty {
      members.append(
        .init(
          Self.metadataKey, .object(metadata.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })))
    }
    for entry in entries {
      members.append(
        .init(
          entry.name,
          .object([
            .init("dtype", .string(entry.type.rawValue)),
            .init("shape", .array(entry.shape.map { .int($0) })),
            .init("data_offsets", .array([.int(entry.byteRange.lowerBound), .int(entry.byteRange.upperBound)])),
          ])))
    }
    var text = Array(JSONValue.object(members).text.utf8)
    text += Array(repeating: UInt8(ascii: " "), count: (64 - (text.count + 8) % 64) % 64)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
  }
}
