import Foundation
import GraphIR
import TensorCore

/// A folder of recorded operator calls: `ops.jsonl` with one case per line, tensors in `t0.safetensors`, ….
final class ConformanceData {
  struct Problem: Error, CustomStringConvertible { let description: String }

  let cases: [JSON]
  private let folder: URL
  private var shards: [String: (entries: JSON, bytes: Data)] = [:]

  init(folder: URL) throws {
    self.folder = folder
    self.cases = try Data(contentsOf: folder.appendingPathComponent("ops.jsonl"))
      .split(separator: UInt8(ascii: "\n")).map { try JSONReader.read($0) }
  }

  /// The folder beside this package's checkout, where there is one.
  static func beside(_ file: StaticString = #filePath) -> URL? {
    var folder = URL(fileURLWithPath: "\(file)")
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      let candidate = folder.appendingPathComponent("shared/conformance/ops")
      if FileManager.default.fileExists(atPath: candidate.appendingPathComponent("ops.jsonl").path) { return candidate }
    }
    return nil
  }

  /// The bytes of the elements that a reference such as `0/12` names.
  func bytes(_ reference: String) throws -> Data {
    let parts = reference.split(separator: "/")
    guard parts.count == 2 else { throw Problem(description: "malformed data reference \(reference)") }
    let shard = try shard(String(parts[0]))
    guard let offsets = shard.entries[String(parts[1])]?["data_offsets"]?.ints, offsets.count == 2 else {
      throw Problem(description: "no data \(reference)")
    }
    return shard.bytes.subdata(in: offsets[0]..<offsets[1])
  }

  private func shard(_ name: String) throws -> (entries: JSON, bytes: Data) {
    if let known = shards[name] { return known }
    let data = try Data(contentsOf: folder.appendingPathComponent("t\(name).safetensors"))
    let headerCount = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let shard = (try JSONReader.read(data[8..<8 + headerCount]), data.subdata(in: 8 + headerCount..<data.count))
    shards[name] = shard
    return shard
  }

  /// An input: its whole storage, seen through its layout.
  func input(_ entry: JSON) throws -> Tensor {
    guard let dtype = entry["dtype"]?.string.flatMap({ DType(abbreviation: $0) }), let sizes = entry["shape"]?.ints,
      let strides = entry["stride"]?.ints, let offset = entry["offset"]?.int, let count = entry["n"]?.int
    else { throw Problem(description: "malformed input") }
    let storage = try Storage(byteCount: count * dtype.byteCount)
    if let reference = entry["d"]?.string { storage.write(try bytes(reference)) }
    return try Tensor(
      storage: storage, layout: Layout(sizes: [SymInt](sizes), strides: [SymInt](strides), offset: SymInt(offset)),
      dtype: dtype)
  }

  /// A dense tensor of logical values; nil where the values are undefined.
  func dense(_ entry: JSON) throws -> Tensor? {
    guard let dtype = entry["dtype"]?.string.flatMap({ DType(abbreviation: $0) }), let sizes = entry["shape"]?.ints
    else {
      throw Problem(description: "malformed tensor")
    }
    if entry["undef"]?.bool == true { return nil }
    let tensor = try Tensor(uninitialized: Layout(contiguous: [SymInt](sizes)), dtype: dtype)
    if let reference = entry["d"]?.string { tensor.storage.write(try bytes(reference)) }
    return tensor
  }

  /// An argument in the form that its parameter's type has.
  static func argument(_ json: JSON, _ inputs: [Tensor]) throws -> Value {
    switch json {
    case .null: return .none
    case .bool(let value): return .bool(value)
    case .int(let value): return .int(SymInt(value))
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .array(let values): return .list(try values.map { try argument($0, inputs) })
    case .object:
      if let index = json["t"]?.int { return .reference(inputs[index]) }
      if let text = json["s"]?.string ?? json["layout"]?.string { return .string(text) }
      if let name = json["dtype"]?.string, let dtype = DType(abbreviation: name) { return .dtype(dtype) }
      if let name = json["memory_format"]?.string?.replacingOccurrences(of: "_format", with: ""),
        let format = MemoryFormat(rawValue: name)
      {
        return .memoryFormat(format)
      }
      if let name = json["device"]?.string, let device = Device(name) { return .device(device) }
      if let number = json["f"] {
        switch number {
        case .string("inf"): return .double(.infinity)
        case .string("-inf"): return .double(-.infinity)
        case .string("nan"): return .double(.nan)
        default: if let value = number.double { return .double(value) }
        }
      }
      throw Problem(description: "unknown argument \(json)")
    }
  }
}

extension Storage {
  fileprivate func write(_ data: Data) {
    data.withUnsafeBytes { source in
      guard let from = source.baseAddress, let to = baseAddress else { return }
      to.copyMemory(from: from, byteCount: Swift.min(source.count, byteCount))
    }
  }

  /// The memory, byte for byte.
  var contents: Data { baseAddress.map { Data(bytes: $0, count: byteCount) } ?? Data() }
}
