import Foundation
import GraphIR
import TensorCore

/// A `.pt2` archive as `torch.export.save` writes it: one or more programs, and the memory of their weights and constants.
struct PT2Archive {
  private let zip: ZipArchive
  /// The folder that all members are in, with the slash after it.
  private let root: String

  init(_ region: ByteRegion) throws(ModelFormatError) {
    zip = try ZipArchive(region)
    guard let first = zip.names.first, let slash = first.firstIndex(of: "/") else {
      throw ModelFormatError(.malformed, "this is no .pt2 archive: its members are not in a folder")
    }
    root = String(first[...slash])
    for (member, expected) in [("archive_format", "pt2"), ("byteorder", "little")] {
      let found = try text(of: member)
      guard found == expected else {
        throw ModelFormatError(.unsupported, "is '\(found)', not '\(expected)'", member: root + member)
      }
    }
    let version = try text(of: "archive_version")
    guard version == "0" else {
      throw ModelFormatError(
        .unsupported, "is '\(version)'; this package reads version 0", member: root + "archive_version")
    }
  }

  private func text(of member: String) throws(ModelFormatError) -> String {
    String(decoding: try zip.bytes(of: root + member), as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The names of the programs.
  var programNames: [String] {
    let folder = root + "models/"
    return zip.names.compactMap { name in
      guard name.hasPrefix(folder), name.hasSuffix(".json") else { return nil }
      return String(name.dropFirst(folder.count).dropLast(5))
    }
  }

  /// A program, unread; the one there is, or the one named `model`, without a name.
  func program(named name: String?) throws(ModelFormatError) -> (name: String, json: JSONValue, member: String) {
    let names = programNames
    let name = name ?? (names.count == 1 ? names[0] : "model")
    guard names.contains(name) else {
      throw ModelFormatError(.notFound, "there is no program '\(name)'; there are: \(names.joined(separator: ", "))")
    }
    let member = "models/\(name).json"
    return (name, try json(of: member), root + member)
  }

  /// The places of a program's weights and constants.
  func payloads(of program: String) throws(ModelFormatError) -> [String: Payload] {
    var payloads: [String: Payload] = [:]
    for kind in ["weights", "constants"] {
      let member = "data/\(kind)/\(program)_\(kind)_config.json"
      guard zip.contains(root + member) else { continue }
      do throws(ModelFormatError) {
        for (name, payload) in try Payload.all(try json(of: member), folder: root + "data/\(kind)/") {
          guard payloads.updateValue(payload, forKey: name) == nil else {
            throw ModelFormatError(.malformed, "'\(name)' is a weight or constant twice")
          }
        }
      } catch {
        throw error.inside(member: root + member)
      }
    }
    return payloads
  }

  private func json(of member: String) throws(ModelFormatError) -> JSONValue {
    let bytes = try zip.bytes(of: root + member)
    do {
      return try JSONValue(parsing: bytes)
    } catch {
      throw ModelFormatError(.malformed, "is no JSON: \(error.message)", member: root + member)
    }
  }

  /// The memory of a payload, aligned for any element.
  func storage(of payload: Payload) throws -> Storage { try zip.storage(of: payload.member, alignment: 8) }
}
