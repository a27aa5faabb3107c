import AOTAutograd
import XCTest

/// What is kept for the backward pass goes through hooks: eagerly, and as parts of compiled graphs.
final class SavedTensorHookTests: XCTestCase {
  private let halves = SavedTensorHooks {
    $0.dtype == .float32 ? [try $0.to(.bfloat16)] : [$0]
  } unpack: {
    $0[0].dtype == .bfloat16 ? try $0[0].to(.float32) : $0[0]
  }

  /// Eight bits an element, and the scale as a second tensor.
  private let bytes = SavedTensorHooks {
    let scale = try $0.abs().amax([]) / 127
    return [try ($0 / scale).round().to(.int8), scale]
  } unpack: {
    try $0[0].to(.float32) * $0[1]
  }

  private func gradient(
    _ hooks: SavedTensorHooks?, _ function: (Tensor) throws -> Tensor
  ) throws -> [Double] {
    let x = try wave([8], requiresGrad: true)
    let result = try hooks.map { hooks in try hooks.use { try function(x) } } ?? function(x)
    try result.sum().backward()
    return CallRecord.values(try XCTUnwrap(x.grad))
  }

  // MARK: Eager

  func testHooksRunWhereSomethingIsSavedAndWhereItIsNeeded() throws {
    var log: [String] = []
    let hooks = SavedTensorHooks {
      log.append("pack")
      XCTAssertFalse(isGradEnabled)
      return [$0]
    } unpack: {
      log.append("unpack")
      return $0[0]
    }
    let x = try wave([3], requiresGrad: true)
    let y = try hooks.use { try x.sin() }
    log.append("between")
    let z = try y.exp()
    XCTAssertEqual(log, ["pack", "between"])
    try z.sum().backward()
    XCTAssertEqual(log, ["pack", "between", "unpack"])
  }

  func testHooksInsideHooksAreOffAndTheInnermostCount() throws {
    var log: [String] = []
    func hooks(_ name: String) -> SavedTensorHooks {
      SavedTensorHooks {
        log.append(name)
        XCTAssertNil(SavedTensorHooks.inUse)
        return [$0]
      } unpack: {
        $0[0]
      }
    }
    let x = try wave([3], requiresGrad: true)
    try hooks("outer").use {
      _ = try x.sin()
      _ = try hooks("inner").use { try x.sin() }
      _ = try x.sin()
    }
    XCTAssertEqual(log, ["outer", "inner", "outer"])
  }

  func testWhatIsUnpackedMustBeOfTheSavedSizeAndType() throws {
    for wrong in [{ try $0[0].to(.float64) }, { try $0[0][0..<2] }] as [([Tensor]) throws -> Tensor] {
      let hooks = SavedTensorHooks {
        [$0]
      } unpack: {
        try wrong($0)
      }
      XCTAssertThrowsError(try gradient(hooks) { try $0.sin() }) {
        XCTAssertEqual(($0 as? AutogradError)?.code, .invalidGradient, "\($0)")
      }
      let function = aotFunction { (x: Tensor) in try x.sin() }
      XCTAssertThrowsError(try gradient(hooks) { try function($0) }) {
        XCTAssertEqual(($0 as? AutogradError)?.code, .invalidGradient, "\($0)")
      }
    }
  }

  // MARK: Compiled

  func testWhatIsLostByPackingIsLostInBoth() throws {
    for hooks in [halves, bytes] {
      let body = { (x: Tensor) in try x.sin() }
      let eager = try gradient(hooks, body)
      XCTAssertNotEqual(eager, try gradient(nil, body))
      for (name, configuration) in comparedConfigurations {
        let function = aotFunction(configuration: configuration, body)
        let compiled = try gradient(hooks) { try function($0) }
        for (a, b) in zip(compiled, eager) { XCTAssertEqual(a, b, accuracy: 1e-5, name) }
      }
    }
  }

  func testPackingInHalfPrecisionHalvesWhatIsKept() throws {
    let function = aotFunction(configuration: .init(partitioner: .default)) { (x: Tensor) in try x.exp().sin().tanh() }
    let x = try wave([8], requiresGrad: true)
    let plain = try function.stages(x).savedByteCount
    XCTAssertGreaterThan(plain, 0)
    XCTAssertEqual(try halves.use { try function.stages(x).savedByteCount }, plain / 2)
  }

  func testFilters() throws {
    let body = { (x: Tensor) in
      let y = try x.exp()
      return (try y.sin(), try (x * 2).cos(), y)
    }
    let viewingItsOutput = { (x: Tensor) in
      let y = try x.exp()
      return (try y.view([2, 4]).sin(), y, y)
    }
    func packed(
      _ filter: AOTConfiguration.SavedTensorHooksFilter,
      _ body: @escaping (Tensor) throws -> (Tensor, Tensor, Tensor)
    ) throws -> Int {
      let configuration = AOTConfiguration(partitioner: .default, savedTensorHooksFilter: filter)
      let function = aotFunction(configuration: configuration, body)
      let forward = try halves.use { try function.stages(wave([8], requiresGrad: true)).forward }
      let results = forward.result.elements?.compactMap(\.reference) ?? []
      return results.filter { forward[metadata: $0].tensor?.dtype == .bfloat16 }.count
    }
    let counts = try [packed(.all, body), packed(.noInputs, body), packed(.donatedOnly, body)]
    XCTAssertGreaterThanOrEqual(counts[0], counts[1])
    XCTAssertGreaterThan(counts[1], counts[2], "\(counts)")
    XCTAssertGreaterThan(counts[2], 0)
    XCTAssertGreaterThan(try packed(.all, viewingItsOutput), 0)
    XCTAssertEqual(try packed(.donatedOnly, viewingItsOutput), 0)
  }

  func testHooksAreGuardedAndDoNotRunWhereNothingIsCompiled() throws {
    let count = Locked(0)
    let counting = SavedTensorHooks {
      count.withLock { $0 += 1 }
      return [$0]
    } unpack: {
      $0[0]
    }
    let function = aotFunction { (x: Tensor) in try x.sin() }
    _ = try gradient(counting) { try function($0) }
    let compiled = count.withLock(\.self)
    XCTAssertEqual(compiled, 1, "once for what is saved, not while the closure is captured")
    _ = try gradient(counting) { try function($0) }
    XCTAssertEqual(count.withLock(\.self), compiled)
    _ = try gradient(nil) { try function($0) }
    _ = try gradient(halves) { try function($0) }
    XCTAssertEqual(function.entryCount, 3)
  }
}
