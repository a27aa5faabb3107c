import Foundation
import ModelFormats
import Modules
import XCTest

@testable import aot

/// Everything that the README and the articles show is compiled or run here.
final class ReadmeTests: XCTestCase {
  /// What each shell command is checked by: arguments of the program, in a form that takes little time; nil for commands that
  /// are checked by running this test at all.
  private static let commands: [String: String?] = [
    "swift run -c release aot train digits": "train digits --epochs 1 --batch 512",
    "swift test": nil,
    "swift run -c release aot train digits --model convnet": "train digits --model convnet --epochs 1 --batch 1024",
    "swift run -c release aot train gpt":
      "train gpt --steps 1 --batch 2 --context 64 --width 8 --sample 1 --text \(text)",
    "swift run -c release aot train digits --checkpoint digits.safetensors":
      "train digits --epochs 1 --batch 1024 --checkpoint \(checkpoint)",
    "swift run -c release aot train digits --checkpoint digits.safetensors --resume --epochs 60":
      "train digits --epochs 2 --batch 1024 --checkpoint \(checkpoint) --resume",
    "swift run -c release aot show digits --stage joint": "show digits --stage joint",
    "swift run -c release aot show gpt --stage forward --format dot": "show gpt --stage forward --format dot",
    "swift run -c release aot show gpt --stage joint --decompose core": "show gpt --stage joint --decompose core",
    "swift run -c release aot ops --filter norm": "ops --filter norm",
    "swift run -c release aot bench overhead": "bench overhead --quick",
    "swift run -c release aot fuzz functions --cases 300": "fuzz functions --cases 2",
    "swift run -c release aot fuzz text --cases 100000": "fuzz text --cases 100",
    "swift run -c release aot conformance ops Tests/ConformanceTests/Sample --compiled":
      "conformance ops \(root.path)/Tests/ConformanceTests/Sample --compiled --filter tanh",
    "swift run -c release aot conformance scenarios Tests/ConformanceTests/ScenarioSample":
      "conformance scenarios \(root.path)/Tests/ConformanceTests/ScenarioSample --filter synthetic_base",
    "swift run -c release aot conformance models Tests/ModelFormatsTests/Models":
      "conformance models \(models) --filter plain",
    "swift run -c release aot fuzz archives Tests/ModelFormatsTests/Models --cases 10000":
      "fuzz archives \(models) --cases 20",
    "swift run -c release aot show Tests/ModelFormatsTests/Models/classifier/classifier.pt2 --stage joint":
      "show \(models)/classifier/classifier.pt2 --stage joint",
    "swift run -c release aot train Tests/ModelFormatsTests/Models/classifier/classifier.pt2 "
      + "--inputs Tests/ModelFormatsTests/Models/classifier/inputs.safetensors":
      "train \(models)/classifier/classifier.pt2 --inputs \(models)/classifier/inputs.safetensors",
    "swift run -c release aot --help": "--help",
  ]

  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static let checkpoint = FileManager.default.temporaryDirectory
    .appending(path: "readme-\(UUID().uuidString).safetensors").path
  private static let models = root.appending(path: "Tests/ModelFormatsTests/Models").path

  /// A text of some hundred bytes: this file's neighbour.
  private static let text = root.appending(path: "Package.swift").path

  /// The contents of a page's code blocks of a language.
  private func blocks(_ language: String, of page: String = "README.md") throws -> [String] {
    let text = try String(contentsOf: Self.root.appending(path: page), encoding: .utf8)
    return text.components(separatedBy: "\n```\(language)\n").dropFirst().map { part in
      part.components(separatedBy: "\n```")[0]
    }
  }

  private func withoutIndentation(_ text: String) -> String {
    text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "\n")
  }

  func testCommandsAreTheOnesBelow() throws {
    let shown = try blocks("sh").flatMap { $0.split(separator: "\n").map(String.init) }
    XCTAssertEqual(shown.sorted(), Self.commands.keys.sorted())
  }

  func testCommandsRun() throws {
    defer { try? FileManager.default.removeItem(atPath: Self.checkpoint) }
    // In alphabetical order a checkpoint is written before it is resumed from.
    for case (let command, let arguments?) in Self.commands.sorted(by: { $0.key < $1.key }) {
      let result = RecordingConsole.run(arguments)
      XCTAssertEqual(result.code, 0, "\(command): \(result.error)")
      XCTAssertFalse(result.output.isEmpty, command)
    }
  }

  func testSnippetsAreCompiled() throws {
    let articles = [
      "Operators/Operators.docc/AddingAnOperator", "Operators/Operators.docc/CustomOperators",
      "Operators/Operators.docc/TensorSubclasses", "AOTAutograd/AOTAutograd.docc/WhatACompiledFunctionPromises",
      "AOTAutograd/AOTAutograd.docc/SavedTensorsAndPrecision", "Modules/Modules.docc/WriteAndTrainAModel",
    ].map { "Sources/\($0).md" }
    let sources = [
      "Tests/CommandLineTests/ReadmeTests.swift", "Sources/Operators/Library/Activations.swift",
      "Sources/Operators/Library/Softmax.swift", "Tests/AOTAutogradTests/CustomOperators.swift",
      "Tests/AOTAutogradTests/CustomOperatorTests.swift", "Tests/AOTAutogradTests/ScaledHalf.swift",
      "Tests/AOTAutogradTests/ScaledHalfTests.swift", "Tests/AOTAutogradTests/ArticleTests.swift",
      "Tests/ModulesTests/ArticleTests.swift",
    ]
    let compiled = try sources.map { source in
      withoutIndentation(try String(contentsOf: Self.root.appending(path: source), encoding: .utf8))
    }
    for page in ["README.md"] + articles {
      for snippet in try blocks("swift", of: page) {
        let code = withoutIndentation(
          snippet.replacingOccurrences(of: "import AOTAutograd\n", with: "")
            .replacingOccurrences(of: "import Modules\n", with: ""))
        XCTAssertTrue(
          compiled.contains { $0.contains(code) }, "no source compiles this snippet of \(page):\n\(snippet)")
      }
    }
  }

  func testModelsAndTraining() throws {
    let data = try Digits.all()
    let batches = try (0..<40).map { try data.selecting($0 * 32..<($0 + 1) * 32).tensors() }
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: file) }
    var loss = try Tensor.zeros([])

    final class Classifier: Module, Layer {
      let hidden, output: Linear

      init(pixels: Int, classes: Int) throws {
        hidden = try Linear(pixels, 32)
        output = try Linear(32, classes)
      }

      func callAsFunction(_ images: Tensor) throws -> Tensor { try output(hidden(images).relu()) }
    }

    let model = try Classifier(pixels: 64, classes: 10)
    let optimizer = try Optimizer(model, AdamW(weightDecay: 0.01), learningRate: 0.01)
    let scheduler = try LearningRateScheduler(optimizer, CosineAnnealingLR(stepCount: batches.count))
    let step = try aotTrainingStep(model, optimizer, clipping: .norm(1)) { model, images, labels in
      try model(images).crossEntropyLoss(labels)
    }
    for (images, labels) in batches {
      loss = try step(images, labels)  // forward, backward and update, compiled at the first call
      try scheduler.step()
    }
    let checkpoint = try Checkpoint(["model": model, "optimizer": optimizer, "schedule": scheduler])
    try checkpoint.save(to: file)  // a safetensors file; checkpoint.restore(from: file) goes on from it

    // Guessing one of ten costs 2.3 nats.
    XCTAssertLessThan(try loss.elements(as: Float.self)[0], 1.6)
    XCTAssertEqual(step.entryCount, 1)
    let weights = try model.output.weight.elements(as: Float.self)
    try Initializer.zeros.fill(model.output.weight)
    try checkpoint.restore(from: file)
    XCTAssertEqual(try model.output.weight.elements(as: Float.self), weights)
  }

  func testTour() throws {
    let x = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let w = try Tensor([0.1, -0.2, 0.3, 0.4] as [Float], shape: [2, 2]).requiringGrad()

    let step = aotFunction { (x: Tensor, w: Tensor) in try x.matmul(w).tanh().sum() }
    let loss = try step(x, w)  // captured, partitioned, compiled at the first call with this signature
    try loss.backward()
    print(w.grad!, try step.stages(x, w).forward)

    let update = aotFunction { (w: Tensor, gradient: Tensor) in try w.sub_(gradient, alpha: 0.1) }
    _ = try noGrad { try update(w, w.grad!) }  // w has changed, in place, as without the compiler

    // What the tour says happens.
    let before: [Float] = [0.1, -0.2, 0.3, 0.4]
    let gradient = try w.grad?.elements(as: Float.self) ?? []
    for (after, (before, slope)) in zip(try w.elements(as: Float.self), zip(before, gradient)) {
      XCTAssertEqual(after, before - 0.1 * slope, accuracy: 1e-6)
    }
    let eager = try Tensor(before, shape: [2, 2]).requiringGrad()
    try x.matmul(eager).tanh().sum().backward()
    for (compiled, eager) in zip(gradient, try eager.grad?.elements(as: Float.self) ?? []) {
      XCTAssertEqual(compiled, eager, accuracy: 1e-6)
    }
  }

  func testModelsFromPyTorch() throws {
    let archive = URL(fileURLWithPath: "\(Self.models)/plain/plain.pt2")
    let file = try SafetensorsFile(contentsOf: URL(fileURLWithPath: "\(Self.models)/plain/inputs.safetensors"))
    let inputs = try file.names.sorted().map(file.tensor)
    let checkpoint = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: checkpoint) }

    let model = try ImportedModel(contentsOf: archive).compiled()
    let loss = try model(inputs)[0]
    try loss.backward()
    for (name, tensor) in model.model.parameters.map({ ($0.name, $0.tensor) }) { print(name, tensor.grad!.shape) }
    try SafetensorsFile.write(model.model.parameters.map { ($0.name, $0.tensor) }, to: checkpoint)

    XCTAssertEqual(try SafetensorsFile(contentsOf: checkpoint).names.sorted(), ["layer.bias", "layer.weight"])
  }
}
