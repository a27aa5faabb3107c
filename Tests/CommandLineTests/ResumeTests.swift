import Foundation
import Modules
import XCTest

@testable import aot

/// `aot train … --checkpoint FILE --resume`
final class ResumeTests: XCTestCase {
  private var folder = FileManager.default.temporaryDirectory

  override func setUpWithError() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("resume-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

  private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  private func run(_ line: String) throws {
    let result = RecordingConsole.run(line)
    XCTAssertEqual(result.code, 0, "\(line): \(result.error)")
  }

  /// Both files hold the same training, bit for bit.
  private func assertSame(_ a: String, _ b: String) throws {
    XCTAssertEqual(
      try Data(contentsOf: URL(fileURLWithPath: path(a))), try Data(contentsOf: URL(fileURLWithPath: path(b))))
  }

  func testDigitsGoOnBitForBit() throws {
    let train = "train digits --batch 1024 --checkpoint"
    try run("\(train) \(path("whole")) --epochs 2")
    try run("\(train) \(path("parts")) --epochs 1")
    try run("\(train) \(path("parts")) --epochs 2 --resume --seed 9")
    try assertSame("whole", "parts")
  }

  func testGPTGoesOnBitForBit() throws {
    let text = path("text")
    try "In the beginning there was a text of some two hundred bytes; ".appending(
      String(repeating: "so be it. ", count: 14)
    )
    .write(toFile: text, atomically: true, encoding: .utf8)
    let size = GPT.Size(context: 4, width: 8)
    for mode in ["", " --eager"] {
      let train = "train gpt --text \(text) --batch 2 --context 4 --width 8 --sample 0\(mode) --steps 12 --checkpoint"
      try run("\(train) \(path("whole"))")
      let training = try GPTTraining(
        size, batchSize: 2, data: TextData(TextData.bytes(ofFile: text), context: size.context), seed: 0,
        rate: TrainGPT.rate.defaultValue, stepCount: 12,
        configuration: AOTConfiguration(compiler: mode.isEmpty ? .cpu : .none))
      for _ in 0..<5 { _ = try training.step() }
      try training.checkpoint.save(to: URL(fileURLWithPath: path("parts")))
      try run("\(train) \(path("parts")) --resume --seed 9")
      try assertSame("whole", "parts")
    }
  }

  func testWhatCannotBeResumedIsSaid() throws {
    func assertFails(_ line: String, _ mentioning: String) {
      let result = RecordingConsole.run(line)
      XCTAssertEqual(result.code, 1, line)
      XCTAssertTrue(result.error.contains(mentioning), result.error)
    }
    assertFails("train digits --resume", "--checkpoint FILE")
    assertFails("train digits --resume --checkpoint \(path("nowhere"))", "nowhere")
    try run("train digits --batch 512 --epochs 2 --checkpoint \(path("digits"))")
    assertFails("train digits --resume --epochs 1 --checkpoint \(path("digits"))", "2 epochs")
    assertFails("train digits --model convnet --resume --checkpoint \(path("digits"))", "part 'model'")
    assertFails("train gpt --resume --checkpoint \(path("digits"))", "digits")
  }

  /// A program that is killed at any moment leaves a checkpoint that is whole: the one before, or the new one.
  func testAKilledTrainingLeavesAWholeCheckpoint() throws {
    let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let binary = products.appending(path: "aot")
    try XCTSkipUnless(FileManager.default.isExecutableFile(atPath: binary.path), "no binary at \(binary.path)")
    try run("train digits --batch 1024 --epochs 1 --checkpoint \(path("digits"))")
    let file = URL(fileURLWithPath: path("digits"))
    var epochs = 1
    for round in 0..<4 {
      let process = Process()
      process.executableURL = binary
      process.arguments = [
        "train", "digits", "--batch", "1024", "--epochs", "1000000", "--resume", "--checkpoint", file.path,
      ]
      (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
      let before = try Data(contentsOf: file)
      try process.run()
      // From then on checkpoints follow one another as fast as an epoch of one step: nearly always one is being written.
      let start = ContinuousClock.now
      while try Data(contentsOf: file) == before, process.isRunning, ContinuousClock.now - start < .seconds(60) {
        Thread.sleep(forTimeInterval: 0.01)
      }
      Thread.sleep(forTimeInterval: 0.0037 * Double(round))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      let training = try DigitsTraining(
        DigitsMLP.self, seed: 5, rate: 0.05, momentum: 0.9, configuration: AOTConfiguration())
      try training.checkpoint.restore(from: file)
      XCTAssertGreaterThan(training.progress.completedCount, epochs)
      epochs = training.progress.completedCount
    }
  }
}
