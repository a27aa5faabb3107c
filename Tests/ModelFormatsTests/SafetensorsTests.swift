import AOTAutograd
import Foundation
import XCTest

@testable import ModelFormats

final class SafetensorsTests: XCTestCase {
  private var folder: URL!

  override func setUpWithError() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("safetensors-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

  /// One tensor of every dtype, of several shapes and strides.
  private func samples() throws -> [(name: String, tensor: Tensor)] {
    let numbers = try Tensor([0, 1, 2, 3, 4, 250] as [Float], shape: [2, 3])
    var samples = try DType.allCases.map { (name: "\($0)", tensor: try numbers.to($0)) }
    samples.append(("transposed", try numbers.transpose(0, 1)))
    samples.append(("scalar", try Tensor([-0.5] as [Double], shape: [])))
    samples.append(("empty", try Tensor([] as [Float], shape: [0, 4])))
    samples.append(("naïve \"name\"\n", try Tensor([7] as [Int8])))
    return samples
  }

  func testWhatIsWrittenIsRead() throws {
    let url = folder.appendingPathComponent("all.safetensors")
    let samples = try samples()
    try SafetensorsFile.write(samples, metadata: ["format": "pt", "step": "12"], to: url)
    let file = try SafetensorsFile(contentsOf: url)
    XCTAssertEqual(Set(file.names), Set(samples.map(\.name)))
    XCTAssertEqual(file.metadata, ["format": "pt", "step": "12"])
    for (name, tensor) in samples {
      let read = try file.tensor(name)
      XCTAssertEqual(read.dtype, tensor.dtype, name)
      XCTAssertEqual(read.description, tensor.description, name)
    }
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path), ["all.safetensors"])
  }

  func testTensorsStandOnTheMappedFileAndWritesStayOutOfIt() throws {
    let url = folder.appendingPathComponent("mapped.safetensors")
    try SafetensorsFile.write([(name: "x", tensor: try Tensor([1, 2] as [Float]))], to: url)
    let before = try Data(contentsOf: url)
    var file: SafetensorsFile? = try SafetensorsFile(contentsOf: url)
    let (x, again) = (try file!.tensor("x"), try file!.tensor("x"))
    XCTAssertEqual(x.dataAddress, again.dataAddress)
    file = nil
    _ = try x.add_(1)
    XCTAssertEqual(try x.elements(as: Float.self), [2, 3])
    XCTAssertEqual(try Data(contentsOf: url), before)
  }

  func testAReplacedFileStaysReadable() throws {
    let url = folder.appendingPathComponent("old.safetensors")
    try SafetensorsFile.write(["x": try Tensor([1, 2] as [Float])], to: url)
    let old = try SafetensorsFile(contentsOf: url)
    try SafetensorsFile.write(["x": try Tensor([3] as [Float])], to: url)
    XCTAssertEqual(try old.tensor("x").elements(as: Float.self), [1, 2])
    XCTAssertEqual(try SafetensorsFile(contentsOf: url).tensor("x").elements(as: Float.self), [3])
  }

  func testAFailedWriteLeavesTheOldFile() throws {
    let url = folder.appendingPathComponent("kept.safetensors")
    let x = try Tensor([1] as [Float])
    try SafetensorsFile.write(["x": x], to: url)
    XCTAssertThrowsError(try SafetensorsFile.write([("y", x), ("y", x)], to: url)) { error in
      XCTAssertTrue("\(error)".contains("'y'"), "\(error)")
    }
    let fake = try Tensor(fake: Layout(contiguous: [2]), dtype: .float32)
    XCTAssertThrowsError(try SafetensorsFile.write(["x": x, "fake": fake], to: url))
    XCTAssertThrowsError(try SafetensorsFile.write(["__metadata__": x], to: url))
    XCTAssertEqual(try SafetensorsFile(contentsOf: url).tensor("x").elements(as: Float.self), [1])
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path), ["kept.safetensors"])
    let nowhere = folder.appendingPathComponent("missing/x.safetensors")
    XCTAssertThrowsError(try SafetensorsFile.write(["x": x], to: nowhere))
  }

  private func file(_ header: String, dataCount: Int) -> [UInt8] {
    let text = Array(header.utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
      + [UInt8](repeating: 0, count: dataCount)
  }

  private func entry(_ type: String, _ shape: String, _ offsets: String) -> String {
    #"{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
  }

  func testMisalignedTensorsAreCopied() throws {
    let header = #"{"a":\#(entry("U8", "[1]", "[0,1]")),"b":\#(entry("F32", "[2]", "[1,9]"))}"#
    var bytes = file(header, dataCount: 9)
    bytes.replaceSubrange((bytes.count - 8)..., with: [0, 0, 128, 63, 0, 0, 0, 64])
    XCTAssertEqual(try SafetensorsFile(bytes).tensor("b").elements(as: Float.self), [1, 2])
  }

  func testHeadersThatDoNotHoldAreRefused() throws {
    let a = entry("F32", "[2]", "[0,8]")
    for (header, count, message) in [
      ("[]", 0, "does not begin with '{'"),
      ("{\"a\":", 0, "no JSON"),
      ("{\"a\":\(a)} x", 8, "no JSON"),
      ("{\"a\":3}", 0, "a number, not an object"),
      ("{\"a\":\(a),\"a\":\(a)}", 8, "two tensors named 'a'"),
      ("{\"a\":\(a),\"b\":\(a)}", 8, "overlaps"),
      ("{\"a\":\(a),\"b\":\(entry("F32", "[1]", "[12,16]"))}", 16, "leaves a hole"),
      ("{\"a\":\(a)}", 7, "have 8 bytes, but 7 follow"),
      ("{\"a\":\(a)}", 9, "have 8 bytes, but 9 follow"),
      ("{\"a\":\(entry("F32", "[3]", "[0,8]"))}", 8, "its place has 8 bytes"),
      ("{\"a\":\(entry("F4", "[3]", "[0,2]"))}", 2, "has 12 bits"),
      ("{\"a\":\(entry("F33", "[2]", "[0,8]"))}", 8, "which the format does not have"),
      ("{\"a\":\(entry("F32", "[-2]", "[0,8]"))}", 8, "no size or place"),
      ("{\"a\":\(entry("F32", "[2.0]", "[0,8]"))}", 8, "no size or place"),
      ("{\"a\":\(entry("F32", "[2]", "[8,0]"))}", 8, "not begin and end"),
      ("{\"a\":\(entry("F32", "[4611686018427387904,8]", "[0,8]"))}", 8, "larger than any memory"),
      (#"{"a":{"dtype":"F32","shape":[2]}}"#, 8, "is described by"),
      (#"{"__metadata__":{"x":1}}"#, 0, "not a string"),
      (#"{"__metadata__":{"x":"1","x":"2"}}"#, 0, "'x' twice"),
      (String(repeating: "{\"a\":", count: 5000), 0, "nested more than"),
    ] {
      XCTAssertThrowsError(try SafetensorsFile(file(header, dataCount: count)), header.prefix(60).description) {
        XCTAssertTrue("\($0)".contains(message), "\($0)")
      }
    }
    for bytes in [[], [1, 2, 3], [UInt8](repeating: 255, count: 64), Array(file("{}", dataCount: 0).dropLast())] {
      XCTAssertThrowsError(try SafetensorsFile(bytes))
    }
    XCTAssertEqual(try SafetensorsFile(file("{}", dataCount: 0)).names, [])
  }

  func testTypesThatThisPackageDoesNotHaveAreListedAndRefusedWhenRead() throws {
    let header = #"{"a":\#(entry("U16", "[2]", "[0,4]")),"b":\#(entry("I8", "[1]", "[4,5]"))}"#
    let file = try SafetensorsFile(file(header, dataCount: 5))
    XCTAssertEqual(file.entry("a")?.type, .uint16)
    XCTAssertThrowsError(try file.tensor("a")) { XCTAssertTrue("\($0)".contains("U16"), "\($0)") }
    XCTAssertThrowsError(try file.tensor("c")) { XCTAssertTrue("\($0)".contains("'c'"), "\($0)") }
    XCTAssertEqual(try file.tensor("b").elements(as: Int8.self), [0])
  }

  func testErrorsNameTheFile() throws {
    let url = folder.appendingPathComponent("broken.safetensors")
    try Data([1, 2, 3]).write(to: url)
    for url in [url, folder.appendingPathComponent("absent.safetensors"), folder!] {
      XCTAssertThrowsError(try SafetensorsFile(contentsOf: url)) {
        XCTAssertTrue("\($0)".contains(url.lastPathComponent), "\($0)")
      }
    }
  }

  // MARK: - With Python's package

  /// Python reads what is written here and writes it anew, which is then read here.
  func testPythonReadsAndWritesTheSame() throws {
    let (ours, theirs) = (
      folder.appendingPathComponent("a.safetensors"), folder.appendingPathComponent("b.safetensors")
    )
    let samples = try samples()
    try SafetensorsFile.write(samples, metadata: ["format": "pt", "step": "12"], to: ours)
    try Python.run(
      """
      import sys
      from safetensors import safe_open
      from safetensors.torch import save_file
      with safe_open(sys.argv[1], "pt") as file:
          assert file.metadata() == {"format": "pt", "step": "12"}, file.metadata()
          tensors = {name: file.get_tensor(name) for name in file.keys()}
      assert tensors["transposed"].tolist() == [[0, 3], [1, 4], [2, 250]], tensors["transposed"]
      assert tensors["bfloat16"].float().tolist() == [[0, 1, 2], [3, 4, 250]], tensors["bfloat16"]
      assert tensors["bool"].tolist() == [[False, True, True], [True, True, True]], tensors["bool"]
      save_file(tensors, sys.argv[2], metadata={"from": "python"})
      """, [ours.path, theirs.path], needing: ["torch", "safetensors"])
    let file = try SafetensorsFile(contentsOf: theirs)
    XCTAssertEqual(file.metadata, ["from": "python"])
    XCTAssertEqual(Set(file.names), Set(samples.map(\.name)))
    for (name, tensor) in samples { XCTAssertEqual(try file.tensor(name).description, tensor.description, name) }
  }
}
