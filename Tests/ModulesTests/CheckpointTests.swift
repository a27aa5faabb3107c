import Foundation
import ModelFormats
import Modules
import XCTest

/// Checkpoints: what is read back goes on as if it had never stopped, and a file is there whole or not at all.
final class CheckpointTests: XCTestCase {
  private final class Net: Module, Layer {
    let first: Linear
    let norm: BatchNorm1d
    let dropout: Dropout
    let last: Linear

    init(width: Int) throws {
      first = try Linear(3, width, bias: false)
      norm = try BatchNorm1d(width)
      dropout = try Dropout(0.3)
      last = try Linear(width, 2)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try last(dropout(norm(first(x)).tanh())) }
  }

  /// A training with everything that has state.
  private final class Training {
    let net: Net
    let generator: Generator
    let step: TrainingStep<Tensor, Tensor, Tensor>
    let scheduler: LearningRateScheduler
    let checkpoint: Checkpoint

    init(
      _ rule: some UpdateRule, seed: UInt64, width: Int = 5, accumulating: Int = 2,
      _ compiler: AOTConfiguration.Compiler
    )
      throws
    {
      generator = Generator(seed: seed)
      net = try generator.use { try Net(width: width) }
      let optimizer = try Optimizer(net, rule, learningRate: 0.1)
      step = try aotTrainingStep(
        net, optimizer, clipping: .norm(1), accumulating: accumulating,
        configuration: AOTConfiguration(compiler: compiler)
      ) { net, x, y in try net(x).mseLoss(y) }
      scheduler = try LearningRateScheduler(optimizer, ExponentialLR(gamma: 0.9))
      checkpoint = try Checkpoint([
        "model": net, "optimizer": optimizer, "schedule": scheduler, "generator": generator, "step": step,
      ])
    }

    func run(_ steps: Range<Int>) throws {
      for number in steps {
        let data = Generator(seed: UInt64(number))
        let (x, y) = (try Tensor.randn([6, 3], generator: data), try Tensor.randn([6, 2], generator: data))
        _ = try generator.use { try step(x, y) }
        try scheduler.step()
      }
    }

    /// The bytes of all that is saved.
    func state() throws -> [String: [UInt8]] {
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let file = folder.appendingPathComponent("state")
      try checkpoint.save(to: file)
      return try SafetensorsFile(contentsOf: file).tensors().mapValues { tensor in
        try tensor.view([tensor.elementCount]).view(.uint8).elements(as: UInt8.self)
      }
    }
  }

  private var folder = FileManager.default.temporaryDirectory

  override func setUpWithError() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("checkpoints-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

  private var file: URL { folder.appendingPathComponent("training.safetensors") }

  private func training(
    seed: UInt64 = 1, width: Int = 5, accumulating: Int = 2, _ compiler: AOTConfiguration.Compiler = .none
  ) throws -> Training {
    try Training(AdamW(amsgrad: true), seed: seed, width: width, accumulating: accumulating, compiler)
  }

  // MARK: - Resuming

  func testTenStepsAreFiveAndFiveBitForBit() throws {
    let rules: [any UpdateRule] = try [
      SGD(), SGD(momentum: 0.9, dampening: 0.2, weightDecay: 0.01), SGD(momentum: 0.9, nesterov: true), Adam(),
      AdamW(amsgrad: true),
    ]
    for rule in rules {
      for compiler in [AOTConfiguration.Compiler.none, .cpu] {
        let whole = try Training(rule, seed: 1, compiler)
        try whole.run(0..<10)
        let first = try Training(rule, seed: 1, compiler)
        // The fifth batch is the first of two that make a step.
        try first.run(0..<5)
        try first.checkpoint.save(to: file)
        let second = try Training(rule, seed: 2, compiler)
        // What it did before does not matter.
        try second.run(20..<23)
        try second.checkpoint.restore(from: file)
        XCTAssertEqual(try second.state(), try first.state())
        try second.run(5..<10)
        XCTAssertEqual(try second.state(), try whole.state(), "\(rule), \(compiler)")
      }
    }
  }

  func testNamesSayWhatIsWhat() throws {
    try training().checkpoint.save(to: file)
    let names = try SafetensorsFile(contentsOf: file).names
    for name in [
      "model.first.weight", "model.norm.running_mean", "model.norm.num_batches_tracked",
      "optimizer.last.bias.exp_avg", "optimizer.last.bias.max_exp_avg_sq", "optimizer.last.bias.step",
      "optimizer.groups.0.rate", "schedule.position", "generator.seed", "generator.counter", "step.position",
      "step.sums.last.weight",
    ] { XCTAssertTrue(names.contains(name), "\(name) is not among \(names)") }
  }

  // MARK: - Files that do not fit

  func testNothingChangesWhereAPartDoesNotFit() throws {
    func assertRefused(
      _ saved: Training, _ code: ModuleError.Code, _ mentioning: String, line: UInt = #line
    ) throws {
      try saved.checkpoint.save(to: file)
      let other = try training(seed: 7)
      let before = try other.state()
      assertThrows(code, mentioning, line: line) { try other.checkpoint.restore(from: file) }
      XCTAssertEqual(try other.state(), before, line: line)
    }
    try assertRefused(training(width: 6), .shapeMismatch, "part 'model'")
    try assertRefused(Training(SGD(), seed: 1, .none), .missingName, "part 'optimizer'")
    try assertRefused(training(accumulating: 1), .missingName, "part 'step'")

    let apart = try training()
    try Checkpoint(["model": apart.net, "other": apart.generator]).save(to: file)
    assertThrows(.unexpectedName, "'other.") { try training().checkpoint.restore(from: file) }
    try Checkpoint(["model": apart.net]).save(to: file)
    assertThrows(.missingName, "part 'optimizer'") { try training().checkpoint.restore(from: file) }
  }

  func testDamagedFilesAreRefused() throws {
    let saved = try training()
    try saved.checkpoint.save(to: file)
    let bytes = try Data(contentsOf: file)
    let other = try training(seed: 7)
    let before = try other.state()
    for count in stride(from: 0, to: bytes.count, by: bytes.count / 37) {
      try bytes.prefix(count).write(to: file)
      XCTAssertThrowsError(try other.checkpoint.restore(from: file)) {
        XCTAssertEqual(($0 as? ModelFormatError)?.code, .malformed, "\($0)")
      }
    }
    XCTAssertThrowsError(try other.checkpoint.restore(from: folder.appendingPathComponent("nowhere"))) {
      XCTAssertEqual(($0 as? ModelFormatError)?.code, .inputOutput, "\($0)")
    }
    XCTAssertEqual(try other.state(), before)
  }

  func testPartsHaveNamesOfTheirOwn() throws {
    let generator = Generator(seed: 0)
    assertThrows(.duplicateName) { try Checkpoint(["a": generator, "a": generator]) }
    assertThrows(.invalidSetting) { try Checkpoint(["a.b": generator]) }
    assertThrows(.invalidSetting) { try Checkpoint(["": generator]) }
  }

  // MARK: - Writes that fail

  /// A disk that is full after some bytes, then every other call that may fail: the old file stays, and nothing beside it.
  func testAWriteThatFailsLeavesTheOldFile() throws {
    let (old, new) = (try training(seed: 1), try training(seed: 2))
    try new.run(0..<3)
    try old.checkpoint.save(to: file)
    let before = try Data(contentsOf: file)
    // The state is as large each time.
    let byteCount = before.count
    func assertOldIsThere(_ calls: FileCalls, _ name: String) throws {
      XCTAssertThrowsError(try new.checkpoint.save(to: file, calls: calls), name) {
        XCTAssertEqual(($0 as? ModelFormatError)?.code, .inputOutput, "\(name): \($0)")
      }
      XCTAssertEqual(try Data(contentsOf: file), before, name)
      XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path), [file.lastPathComponent], name)
    }
    for room in Array(stride(from: 0, to: byteCount, by: max(1, byteCount / 300))) + [byteCount - 1] {
      let left = Locked(room)
      var calls = FileCalls.system
      calls.write = { descriptor, start, count in
        let granted = left.withLock { left in
          defer { left -= min(left, count) }
          return min(left, count)
        }
        if granted > 0 { return FileCalls.system.write(descriptor, start, granted) }
        errno = ENOSPC
        return -1
      }
      try assertOldIsThere(calls, "room for \(room) of \(byteCount) bytes")
    }
    var calls = FileCalls.system
    calls.synchronize = { _ in -1 }
    try assertOldIsThere(calls, "fsync")
    calls = .system
    calls.rename = { _, _ in -1 }
    try assertOldIsThere(calls, "rename")

    let restored = try training(seed: 3)
    try restored.checkpoint.restore(from: file)
    XCTAssertEqual(try restored.state(), try old.state())
    try new.checkpoint.save(to: file)
    try restored.checkpoint.restore(from: file)
    XCTAssertEqual(try restored.state(), try new.state())
  }

  /// The file takes its name after its bytes have reached the disk, not before.
  func testBytesReachTheDiskBeforeTheFileTakesItsName() throws {
    let order = Locked<[String]>([])
    var calls = FileCalls.system
    calls.write = { descriptor, start, count in
      order.withLock { if $0.last != "write" { $0.append("write") } }
      return FileCalls.system.write(descriptor, start, count)
    }
    calls.synchronize = { descriptor in
      order.withLock { $0.append("fsync") }
      return FileCalls.system.synchronize(descriptor)
    }
    calls.rename = { old, new in
      order.withLock { $0.append("rename") }
      return FileCalls.system.rename(old, new)
    }
    try training().checkpoint.save(to: file, calls: calls)
    XCTAssertEqual(order.withLock { $0 }, ["write", "fsync", "rename"])
  }
}
