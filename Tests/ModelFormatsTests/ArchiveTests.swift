import AOTAutograd
import Foundation
import XCTest

@testable import ModelFormats

final class ArchiveTests: XCTestCase {
  func testChecksumsAreThoseOfZip() {
    func checksum(_ text: String) -> UInt32 { Array(text.utf8).withUnsafeBytes { CRC32.checksum($0) } }
    XCTAssertEqual(checksum(""), 0)
    XCTAssertEqual(checksum("123456789"), 0xCBF4_3926)
    XCTAssertEqual(checksum("The quick brown fox jumps over the lazy dog"), 0x414F_A339)
  }

  private func members(_ name: String) throws -> [(name: String, bytes: [UInt8])] {
    let archive = try ZipArchive(ByteRegion(SampleModels.bytes(name)))
    return try archive.names.map { ($0, try archive.bytes(of: $0)) }
  }

  /// Reads the model with one text replaced in one member.
  private func read(
    _ model: String, _ member: String, _ text: String, _ replacement: String, line: UInt = #line
  ) throws -> ImportedModel {
    var members = try members(model)
    let index = try XCTUnwrap(members.firstIndex { $0.name.hasSuffix(member) })
    let content = String(decoding: members[index].bytes, as: UTF8.self)
    XCTAssertTrue(content.contains(text), "\(member) has no \(text)", line: line)
    let range = try XCTUnwrap(content.range(of: text))
    members[index].bytes = Array(content.replacingCharacters(in: range, with: replacement).utf8)
    return try ImportedModel(StoredArchive.bytes(members))
  }

  private func assertRefused(
    _ messages: [String], line: UInt = #line, _ read: () throws -> ImportedModel
  ) {
    XCTAssertThrowsError(try read(), line: line) { error in
      for message in messages { XCTAssertTrue("\(error)".contains(message), "\(error)", line: line) }
    }
  }

  func testArchivesThatAreNoneAreRefused() throws {
    let bytes = try SampleModels.bytes("plain")
    for damaged in [[], Array(bytes.dropLast()), Array(bytes.dropFirst()), Array("no archive".utf8)] {
      XCTAssertThrowsError(try ImportedModel(damaged))
    }
    XCTAssertThrowsError(try ImportedModel(contentsOf: SampleModels.folder))
  }

  func testADamagedWeightIsFound() throws {
    var bytes = try SampleModels.bytes("plain")
    let payload = try ZipArchive(ByteRegion(bytes)).range(of: "plain/data/weights/weight_0")
    XCTAssertTrue(payload.lowerBound.isMultiple(of: 64))
    bytes[payload.lowerBound] ^= 1
    assertRefused(["plain/data/weights/weight_0", "damaged"]) { try ImportedModel(bytes) }
  }

  func testCompressedMembersAreRefused() throws {
    var bytes = try SampleModels.bytes("sizes")
    // The method in the directory's entry for the program.
    let name = Array("sizes/models/model.json".utf8)
    let entry =
      try XCTUnwrap(
        bytes.indices.dropLast(name.count).last { Array(bytes[$0..<$0 + name.count]) == name }) - 46
    bytes[entry + 10] = 8
    assertRefused(["sizes/models/model.json", "compressed by method 8"]) { try ImportedModel(bytes) }
  }

  func testMissingAndDoubleMembersAreRefused() throws {
    let all = try members("plain")
    for (name, message) in [
      ("weight_0", "not in the archive"), ("model.json", "no program"), ("byteorder", "byteorder"),
    ] {
      assertRefused([message]) { try ImportedModel(StoredArchive.bytes(all.filter { !$0.name.hasSuffix(name) })) }
    }
    assertRefused(["twice"]) { try ImportedModel(StoredArchive.bytes(all + [all[0]])) }
  }

  func testOtherVersionsAreRefused() throws {
    assertRefused(["schema 9", "reads 8"]) {
      try read("plain", "model.json", "\"major\": 8", "\"major\": 9")
    }
    assertRefused(["archive_version", "'1'"]) { try read("plain", "archive_version", "0", "1") }
    assertRefused(["byteorder", "'big'"]) { try read("plain", "byteorder", "little", "big") }
    XCTAssertNoThrow(try read("plain", "model.json", "\"minor\": ", "\"unknown\": [{}], \"minor\": 1"))
  }

  func testErrorsNameNodeAndArgument() throws {
    assertRefused(["torch.ops.aten.tanhh.default"]) {
      try read("plain", "model.json", "torch.ops.aten.tanh.default", "torch.ops.aten.tanhh.default")
    }
    assertRefused(["node 'tanh'", "argument 'self'", "'other' is used before it is defined"]) {
      try read(
        "plain", "model.json", #""inputs": [{"name": "self", "arg": {"as_tensor": {"name": "linear"}}"#,
        #""inputs": [{"name": "self", "arg": {"as_tensor": {"name": "other"}}"#)
    }
    assertRefused(["node 'tanh'", "'self' of type Tensor is missing"]) {
      try read(
        "plain", "model.json", #""inputs": [{"name": "self", "arg": {"as_tensor": {"name": "linear"}}"#,
        #""inputs": [{"name": "own", "arg": {"as_tensor": {"name": "linear"}}"#)
    }
    assertRefused(["node 'tanh'", "as_secret", "not supported"]) {
      try read(
        "plain", "model.json", #""inputs": [{"name": "self", "arg": {"as_tensor": {"name": "linear"}}"#,
        #""inputs": [{"name": "self", "arg": {"as_secret": {"name": "linear"}}"#)
    }
  }

  func testPayloadsHaveToFit() throws {
    let config = "model_weights_config.json"
    assertRefused(["weight_0", "does not fit"]) { try read("plain", config, #"{"as_int": 2}"#, #"{"as_int": 9}"#) }
    assertRefused(["weight_0", "no memory can hold"]) {
      try read("plain", config, #"{"as_int": 2}"#, #"{"as_int": 4611686018427387904}"#)
    }
    assertRefused(["weight_0", "no memory can hold"]) {
      try read("plain", config, #"{"as_int": 2}"#, #"{"as_int": -2}"#)
    }
    assertRefused(["complex64"]) { try read("plain", config, #""dtype": 7"#, #""dtype": 10"#) }
    assertRefused(["no dtype 77"]) { try read("plain", config, #""dtype": 7"#, #""dtype": 77"#) }
    assertRefused(["'layer.weight'", "no weight"]) { try read("plain", config, "layer.weight", "layer.height") }
  }

  func testDeepAndHugeTextsAreRefused() throws {
    let deep = String(repeating: "[", count: 1_000_000)
    assertRefused(["nested more than"]) { try read("plain", "model.json", "{", deep) }
    assertRefused(["nested more than"]) {
      try read("sizes", "model.json", "Symbol(", String(repeating: "Mul(", count: 5000) + "Symbol(")
    }
  }

  func testDamagedFilesAreReadOrRefused() throws {
    var files: [[UInt8]] = []
    for name in ["plain", "classifier", "tied", "branches", "functional", "sizes"] {
      files.append(try SampleModels.bytes(name))
      files.append(
        Array(try Data(contentsOf: SampleModels.folder.appendingPathComponent("\(name)/expected.safetensors"))))
    }
    let report = try ArchiveFuzzer(files, seed: 1).run(0..<400)
    XCTAssertEqual(report.read + report.refused, 400)
    XCTAssertGreaterThan(report.read, 10)
    XCTAssertGreaterThan(report.refused, 100)
  }
}
