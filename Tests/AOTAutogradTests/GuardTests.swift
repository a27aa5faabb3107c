import AOTAutograd
import XCTest

/// A compiled function must never serve a call for which the closure would have done something else.
final class GuardTests: XCTestCase {
  private let compilers: [AOTConfiguration.Compiler] = [.none, .cpu, .interpret]

  private func vector(_ values: Float...) throws -> Tensor { try Tensor(values) }
  private func leaf(_ values: Float...) throws -> Tensor { try Tensor(values).requiringGrad() }

  // MARK: Structure and settings of arguments

  func testWhichOfTwoOptionalTensorsIsThere() throws {
    let function = aotFunction { (a: Tensor?, b: Tensor?) in
      guard let tensor = try a ?? b?.neg() else { return try Tensor([0] as [Float]) }
      return try tensor + 1
    }
    XCTAssertEqual(try function(vector(2), nil).elements(as: Float.self), [3])
    XCTAssertEqual(try function(nil, vector(2)).elements(as: Float.self), [-1])
    XCTAssertEqual(function.entryCount, 2)
  }

  func testOptionalPropertiesOfATree() throws {
    struct Pair: TensorTree {
      var left: Tensor?
      var right: Tensor?
      func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Pair {
        try Pair(left: left.mapTensors(transform), right: right.mapTensors(transform))
      }
    }
    let function = aotFunction { (pair: Pair) in
      try pair.left.map { try $0 * 2 } ?? pair.right.map { try $0 * 3 } ?? Tensor([0] as [Float])
    }
    XCTAssertEqual(try function(Pair(left: vector(1), right: nil)).elements(as: Float.self), [2])
    XCTAssertEqual(try function(Pair(left: nil, right: vector(1))).elements(as: Float.self), [3])
  }

  func testSettingsOfSuperclassesAndOfObjectsThatATreeRefersTo() throws {
    class Scaled { var scale = 1.0 }
    final class Settings { var shift = 0.0 }
    final class Model: Scaled, TensorTree {
      let weight: Tensor
      let settings: [Settings]
      init(_ weight: Tensor, _ settings: [Settings]) {
        self.weight = weight
        self.settings = settings
      }
      func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Self {
        let model = Model(try transform(weight), settings)
        model.scale = scale
        return unsafeDowncast(model, to: Self.self)
      }
    }
    let function = aotFunction { (model: Model) in try model.weight * model.scale + model.settings[0].shift }
    let model = try Model(vector(1, 2), [Settings()])
    XCTAssertEqual(try function(model).elements(as: Float.self), [1, 2])
    model.scale = 3
    XCTAssertEqual(try function(model).elements(as: Float.self), [3, 6])
    model.settings[0].shift = 1
    XCTAssertEqual(try function(model).elements(as: Float.self), [4, 7])
    XCTAssertEqual(try function(model).elements(as: Float.self), [4, 7])
    XCTAssertEqual(function.entryCount, 3)
  }

  func testNestedDictionariesWithTheSameKeysInAnotherNesting() throws {
    let function = aotFunction { (tree: [String: [String: [String: Int]]], x: Tensor) in try x * tree.count }
    XCTAssertEqual(try function(["a": ["b": [:]]], vector(1)).elements(as: Float.self), [1])
    XCTAssertEqual(try function(["a": [:], "b": [:]], vector(1)).elements(as: Float.self), [2])
  }

  // MARK: Modes

  func testInferenceTensorsAreRefusedAsEagerly() throws {
    for compiler in compilers {
      let function = aotFunction(configuration: .init(compiler: compiler)) { (x: Tensor) in try x.add_(1) }
      XCTAssertEqual(try function(vector(1)).elements(as: Float.self), [2])
      let made = try inferenceMode { try vector(1) + 1 }
      XCTAssertThrowsError(try function(made), "\(compiler)")
      XCTAssertEqual(try made.elements(as: Float.self), [2], "\(compiler)")
    }
  }

  func testResultsInInferenceModeAreInferenceTensors() throws {
    for compiler in compilers {
      let function = aotFunction(configuration: .init(compiler: compiler)) { (x: Tensor) in try x * 2 }
      XCTAssertTrue(try inferenceMode { try function(vector(1)) }.isInference, "\(compiler)")
      XCTAssertFalse(try function(vector(1)).isInference, "\(compiler)")
    }
  }

  func testHistoriesMadeWhileGradientsAreOffAreRefusedRatherThanLost() throws {
    let function = aotFunction { (x: Tensor, w: Tensor) in try enableGrad { try x * w } }
    XCTAssertThrowsError(try noGrad { try function(vector(1), leaf(2)) }) { error in
      XCTAssertTrue("\(error)".contains("output 0"), "\(error)")
    }
    XCTAssertTrue(try function(vector(1), leaf(2)).requiresGrad)
  }

  func testADrawFromAGeneratorOfItsOwnIsRefused() throws {
    let generator = Generator(seed: 1)
    let function = aotFunction { (x: Tensor) in try x + Tensor.rand([1], generator: generator) }
    XCTAssertThrowsError(try function(vector(1))) { error in
      XCTAssertTrue("\(error)".contains("generator"), "\(error)")
    }
    let drawing = aotFunction { (x: Tensor) in try x + Tensor.rand([1]) }
    let expected = try Generator(seed: 1).use { try vector(1) + Tensor.rand([1]) }.elements(as: Float.self)
    XCTAssertEqual(try generator.use { try drawing(vector(1)) }.elements(as: Float.self), expected)
  }

  // MARK: Views

  func testAnOutputThatIsAViewCanBeWrittenToUnderAutograd() throws {
    for compiler in compilers {
      let function = aotFunction(configuration: .init(compiler: compiler)) { (x: Tensor) in try x.view([2, 1]) }
      let x = try vector(1, 2)
      let w = try leaf(3)
      let view = try function(x)
      _ = try view.mul_(w)
      try x.sum().backward()
      XCTAssertEqual(try w.grad?.elements(as: Float.self), [3], "\(compiler)")
    }
  }

  func testAWriteWithoutGradientsToAViewThatAutogradCannotFollow() throws {
    for compiler in compilers {
      let function = aotFunction(configuration: .init(compiler: compiler)) { (x: Tensor) in
        let double = try x * 2
        try noGrad { _ = try x.add_(1) }
        return double
      }
      let w = try leaf(1, 2)
      let parts = try (w * 1).split(1)
      try function(parts[0]).sum().backward()
      XCTAssertEqual(try w.grad?.elements(as: Float.self), [2, 0], "\(compiler)")
      XCTAssertEqual(try parts[0].elements(as: Float.self), [2], "\(compiler)")
    }
  }

  func testAbsoluteOffsetsAreRefusedWhereInputsShareAStorage() throws {
    let function = aotFunction { (a: Tensor, b: Tensor) in
      try a.asStrided([1], [1], offset: 5) + b
    }
    let base = try Tensor.arange(12.0)
    XCTAssertThrowsError(try function(base[4..<6], base[8..<9]))
    XCTAssertEqual(try function(Tensor.arange(12.0), vector(1)).elements(as: Float.self), [6])
  }

  // MARK: Compiled graphs on their own

  func testACompiledGraphRefusesArgumentsItWasNotCompiledFor() throws {
    let text = """
      graph(x: f32[4, 2]) {
        y: f32[4, 2] = aten.neg.default(x)
        return (y,)
      }
      """
    let module = GraphModule(try Graph(parsing: text, operators: OperatorLibrary.table))
    let graph = try LoopCompiler.cpu.compile(module, role: .inference)
    XCTAssertThrowsError(try graph.run([]))
    XCTAssertThrowsError(try graph.run([.reference(Tensor([1, 2] as [Float], shape: [1, 2]))]))
  }

  // MARK: Effects that a graph does not hold

  func testWhatACompiledFunctionWouldForgetIsRefused() throws {
    let x = try Tensor([1, 2] as [Float]).requiringGrad()
    let closures: [(Tensor) throws -> Tensor] = [
      {
        try $0.registerHook { $0 }; return try $0 * 2
      },
      {
        try $0.setRequiresGrad(false); return try $0 * 2
      },
      {
        manualSeed(1); return try $0 * 2
      },
      {
        let y = try $0 * 2; try y.retainGrad(); return y
      },
    ]
    for closure in closures {
      XCTAssertThrowsError(try aotFunction { (x: Tensor) in try closure(x) }(x))
      XCTAssertTrue(x.requiresGrad)
    }
  }

  func testAViewMadeWithoutGradPassesNoGradient() throws {
    let function = aotFunction { (x: Tensor) in try noGrad { try x.view([2, 1]) } }
    for call in [{ try function($0) }, { x in try noGrad { try x.view([2, 1]) } }] as [(Tensor) throws -> Tensor] {
      let leaf = try Tensor([1, 2] as [Float]).requiringGrad()
      let view = try call(leaf * 3)
      XCTAssertNil(try view.gradientFunction)
    }
  }

  func testALayoutChangeWithoutGradKeepsLaterHistory() throws {
    let body = { (x: Tensor, w: Tensor) throws -> Tensor in
      _ = try noGrad { try x.transpose_(0, 0) }
      return try x.copy_(w)
    }
    let function = aotFunction { (x: Tensor, w: Tensor) in try body(x, w) }
    for call in [{ try function($0, $1) }, body] as [(Tensor, Tensor) throws -> Tensor] {
      let x = try Tensor([1, 2, 3] as [Float])
      let w = try Tensor([5] as [Float]).requiringGrad()
      try call(x, w).sum().backward()
      XCTAssertEqual(try w.grad?.elements(as: Float.self), [3])
      XCTAssertTrue(x.requiresGrad)
    }
  }

  func testALongChainOfViewsIsReplayedAfterAWrite() throws {
    let function = aotFunction { (x: Tensor) in
      let base = try x.clone()
      var view = base
      for _ in 0..<200 { view = try view.t() }
      try base.add_(1)
      return try view.mul_(2)
    }
    let x = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    XCTAssertEqual(try function(x).elements(as: Float.self), [4, 6, 8, 10])
  }

  func testStagesInsideACaptureThrow() throws {
    let inner = aotFunction { (x: Tensor) in try x * 2 }
    let outer = aotFunction { (x: Tensor) in
      _ = try inner.stages(x)
      return x
    }
    XCTAssertThrowsError(try outer(Tensor([1] as [Float])))
  }
}
