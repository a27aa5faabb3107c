import Modules
import XCTest

/// Whole training steps as one compiled program.
final class TrainingStepTests: XCTestCase {
  private final class Net: Module, Layer {
    let first: Linear
    let norm: BatchNorm1d
    let dropout: Dropout
    let last: Linear
    @Parameter var unused: Tensor

    init(dropout: Double = 0) throws {
      // A bias would be undone by the norm: its gradient is rounding, which Adam makes as large as any.
      first = try Linear(3, 5, bias: false)
      norm = try BatchNorm1d(5)
      self.dropout = try Dropout(dropout)
      last = try Linear(5, 2)
      unused = try .ones([2])
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try last(dropout(norm(first(x)).relu())) }
  }

  private static let seed = Generator(seed: 5)

  private func net(dropout: Double = 0) throws -> Net { try Generator(seed: 9).use { try Net(dropout: dropout) } }

  private func batch(_ number: Int) throws -> (x: Tensor, y: Tensor) {
    let generator = Generator(seed: UInt64(number))
    return (try .randn([6, 3], generator: generator), try .randn([6, 2], generator: generator))
  }

  private func assertSameState(_ a: Net, _ b: Net, _ name: String, accuracy: Double = 2e-5) throws {
    for (got, want) in zip(try a.stateDict, try b.stateDict) {
      try assertClose(got.tensor, want.tensor, "\(name), \(got.name)", accuracy: accuracy)
    }
  }

  private let rules: [(name: String, make: () throws -> any UpdateRule)] = [
    ("sgd", { SGD() }),
    ("momentum", { try SGD(momentum: 0.9, dampening: 0.1, weightDecay: 0.01) }),
    ("nesterov", { try SGD(momentum: 0.9, nesterov: true) }),
    ("adam", { try Adam(amsgrad: true) }),
    ("adamw", { try AdamW(weightDecay: 0.1) }),
  ]

  func testAStepDoesWhatEagerTrainingDoes() throws {
    for (name, make) in rules {
      for clipping in [nil, GradientClipping.norm(0.5), .value(0.1)] {
        let (compiled, eager) = (try net(), try net())
        let rule = try make()
        let step = try aotTrainingStep(compiled, Optimizer(compiled, rule, learningRate: 0.05), clipping: clipping) {
          (net: Net, x: Tensor, y: Tensor) in try net(x).mseLoss(y)
        }
        let optimizer = try Optimizer(eager, rule, learningRate: 0.05)
        for round in 0..<6 {
          let (x, y) = try batch(round)
          let loss = try eager(x).mseLoss(y)
          try loss.backward()
          try clipping?.clip(eager.parameters)
          try optimizer.step()
          optimizer.zeroGrad()
          let compiledLoss = try step(x, y)
          XCTAssertFalse(compiledLoss.requiresGrad)
          try assertClose(compiledLoss, loss, "\(name), loss \(round)", accuracy: 1e-5)
        }
        try assertSameState(compiled, eager, name)
        XCTAssertEqual(step.entryCount, 1, name)
        XCTAssertTrue(compiled.parameters.allSatisfy { $0.grad == nil && $0.isLeaf && $0.requiresGrad }, name)
      }
    }
  }

  /// The whole step is one graph, whose only copies are those into what a step changes; nothing of it runs eagerly.
  func testAStepIsOneProgramThatWorksInPlace() throws {
    let net = try net()
    let optimizer = try Optimizer(net, AdamW(), learningRate: 0.05)
    let step = try aotTrainingStep(net, optimizer) { net, x, y in try net(x).mseLoss(y) }
    let (x, y) = try batch(0)
    let stages = try step.stages(x, y)
    XCTAssertNil(stages.backward)
    XCTAssertEqual(stages.savedByteCount, 0)
    let written = stages.meta.inputs.filter(\.mutatesData)
    // Three parameters of linear layers and two of the norm, with three tensors of state each, and the norm's statistics.
    XCTAssertEqual(written.count, 5 * 4 + 3)
    XCTAssertTrue(written.allSatisfy { $0.mutation == .inGraph })
    let copies = stages.forward.nodes.filter { stages.forward[$0].target?.name.base == "copy_" }
    XCTAssertEqual(copies.count, written.count)
    XCTAssertGreaterThan(try XCTUnwrap(stages.workspaceByteCount), 0)
  }

  func testRatesAndModesMayChangeBetweenSteps() throws {
    let (compiled, eager) = (try net(), try net())
    let optimizers = try [compiled, eager].map { try Optimizer($0, SGD(momentum: 0.9), learningRate: 0.1) }
    let schedulers = try optimizers.map { try LearningRateScheduler($0, ExponentialLR(gamma: 0.5)) }
    let step = try aotTrainingStep(compiled, optimizers[0]) { net, x, y in try net(x).mseLoss(y) }
    for round in 0..<6 {
      if round == 3 { for net in [compiled, eager] { net.eval() } }
      let (x, y) = try batch(round)
      try eager(x).mseLoss(y).backward()
      try optimizers[1].step()
      optimizers[1].zeroGrad()
      _ = try step(x, y)
      for scheduler in schedulers { try scheduler.step() }
    }
    try assertSameState(compiled, eager, "rates and modes")
    XCTAssertEqual(step.entryCount, 2)
    compiled.train()
    _ = try step(batch(0).x, batch(0).y)
    XCTAssertEqual(step.entryCount, 2)
  }

  func testAccumulatedBatchesAreOneStep() throws {
    for compiler in [AOTConfiguration.Compiler.cpu, .interpret, .none] {
      let (compiled, eager) = (try net(), try net())
      let rule = try AdamW()
      let step = try aotTrainingStep(
        compiled, Optimizer(compiled, rule, learningRate: 0.05), clipping: .norm(1), accumulating: 3,
        configuration: AOTConfiguration(compiler: compiler)
      ) { net, x, y in try net(x).mseLoss(y) }
      let optimizer = try Optimizer(eager, rule, learningRate: 0.05)
      for round in 0..<9 {
        let (x, y) = try batch(round)
        let before = try elements(compiled.last.weight)
        let loss = try eager(x).mseLoss(y)
        try (loss / 3).backward()
        try assertClose(step(x, y), loss, "loss \(round)", accuracy: 1e-5)
        if round % 3 == 2 {
          try GradientClipping.norm(1).clip(eager.parameters)
          try optimizer.step()
          optimizer.zeroGrad()
        } else {
          XCTAssertEqual(try elements(compiled.last.weight), before)
        }
      }
      try assertSameState(compiled, eager, "\(compiler)")
    }
  }

  func testDropoutIsDrawnAnewAndAsEagerly() throws {
    let (compiled, eager) = (try net(dropout: 0.5), try net(dropout: 0.5))
    let optimizers = try [compiled, eager].map { try Optimizer($0, SGD(), learningRate: 0.1) }
    let steps = try zip(zip([compiled, eager], optimizers), [AOTConfiguration.Compiler.cpu, .none]).map {
      pair, compiler in
      try aotTrainingStep(pair.0, pair.1, configuration: AOTConfiguration(compiler: compiler)) {
        (net: Net, x: Tensor, y: Tensor) in try net(x).mseLoss(y)
      }
    }
    let (x, y) = try batch(0)
    let losses = try steps.map { step in
      try Generator(seed: 4).use { try (0..<4).map { _ in try elements(step(x, y))[0] } }
    }
    for (a, b) in zip(losses[0], losses[1]) { XCTAssertEqual(a, b, accuracy: 1e-5) }
    XCTAssertEqual(Set(losses[0]).count, 4)
  }

  func testMoreThanTheLossMayComeOut() throws {
    let net = try net()
    let optimizer = try Optimizer(net, SGD(), learningRate: 0.1)
    let step = try aotTrainingStep(net, optimizer) { (net: Net, x: Tensor, y: Tensor) -> (Tensor, [Tensor]) in
      let output = try net(x)
      return (try output.mseLoss(y), [output, x])
    }
    let (x, y) = try batch(1)
    let (loss, outputs) = try step(x, y)
    XCTAssertFalse(loss.requiresGrad || outputs[0].requiresGrad)
    XCTAssertEqual(outputs[0].shape, [6, 2])
    XCTAssertTrue(outputs[1] === x)
  }

  func testFrozenParametersStayAsTheyAre() throws {
    let net = try net()
    let step = try aotTrainingStep(net, Optimizer(net, AdamW(), learningRate: 0.1)) { net, x, y in
      try net(x).mseLoss(y)
    }
    let (x, y) = try batch(2)
    _ = try step(x, y)
    try net.first.setRequiresGrad(false)
    let before = try net.parameters.map(elements)
    _ = try step(x, y)
    let after = try net.parameters.map(elements)
    let changed = zip(net.namedParameters, zip(before, after)).filter { $1.0 != $1.1 }.map(\.0.name)
    XCTAssertEqual(changed, ["norm.weight", "norm.bias", "last.weight", "last.bias"])
    XCTAssertEqual(step.entryCount, 2)
  }

  func testALossThatDependsOnNothingIsRefused() throws {
    let net = try net()
    let optimizer = try Optimizer(net, SGD(), learningRate: 0.1)
    let (x, y) = try batch(0)
    let before = try net.parameters.map(elements)
    let apart = try aotTrainingStep(net, optimizer) { (_: Net, x: Tensor, y: Tensor) in try x.sum() }
    assertThrows(.notTrainable, "requires no gradient") { try apart(x, y) }
    let many = try aotTrainingStep(net, optimizer) { (net: Net, x: Tensor, y: Tensor) in try net(x) }
    assertThrows(.notTrainable, "[6, 2]") { try many(x, y) }
    assertThrows(.invalidSetting) {
      try aotTrainingStep(net, optimizer, accumulating: 0) { (net: Net, x: Tensor) in try net(x).sum() }
    }
    XCTAssertEqual(try net.parameters.map(elements), before)
  }

  func testARuleOfOnesOwn() throws {
    struct SignDescent: UpdateRule {
      func makeState(for parameter: Tensor) -> NoState { NoState() }
      func update(_ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: NoState) throws {
        try parameter.sub_(gradient.sign() * rate)
      }
    }
    let layer = try Linear(2, 1, bias: false)
    let before = try elements(layer.weight)
    let step = try aotTrainingStep(layer, Optimizer(layer, SignDescent(), learningRate: 0.25)) {
      (layer: Linear, x: Tensor) in try layer(x).sum()
    }
    _ = try step(Tensor([3, -7] as [Float], shape: [1, 2]))
    try assertClose(
      layer.weight, Tensor([before[0] - 0.25, before[1] + 0.25], shape: [1, 2]), "signs", accuracy: 1e-6)
  }

  // MARK: - aotModule

  func testACompiledModuleSeesPresentValuesAndModes() throws {
    let net = try net()
    let compiled = aotModule(net)
    let (x, _) = try batch(3)
    func assertAgrees(_ name: String, entries: Int) throws {
      let state = try StateDict(net.stateDict.map { NamedTensor($0.name, try $0.tensor.detach().clone()) })
      let got = try compiled(x)
      let after = try net.buffers.map(elements)
      try net.load(state)
      try assertClose(got, net(x), name, accuracy: 1e-5)
      for (a, b) in zip(after, try net.buffers.map(elements)) {
        for (x, y) in zip(a, b) { XCTAssertEqual(x, y, accuracy: 1e-5, name) }
      }
      XCTAssertEqual(compiled.entryCount, entries, name)
    }
    try assertAgrees("first", entries: 1)
    try assertAgrees("second", entries: 1)
    _ = try noGrad { try net.last.weight.mul_(2) }
    try assertAgrees("written to", entries: 1)
    try net.load(Generator(seed: 77).use { try Net() }.stateDict)
    try assertAgrees("loaded", entries: 1)
    net.eval()
    try assertAgrees("evaluating", entries: 2)
    net.last.weight = try .ones([2, 5])
    try assertAgrees("replaced", entries: 3)
    net.last.bias = nil
    try assertAgrees("removed", entries: 4)
    net.train()
    try assertAgrees("training again", entries: 5)
  }

  func testGradientsReachParametersOfACompiledModule() throws {
    let (net, eager) = (try net(), try net())
    let compiled = aotModule(net) { (net: Net, x: Tensor, scale: Tensor) in try net(x) * scale }
    let (x, _) = try batch(4)
    let scale = try Tensor.scalar(3, dtype: .float32)
    try compiled(x, scale).sum().backward()
    try (eager(x) * scale).sum().backward()
    for (got, want) in zip(net.namedParameters, eager.parameters) {
      guard let gradient = want.grad else {
        XCTAssertNil(got.tensor.grad, got.name)
        continue
      }
      try assertClose(got.tensor.grad, gradient, got.name, accuracy: 1e-4)
    }
  }

  func testAModeCannotBeSetInsideACompiledFunction() throws {
    let net = try net()
    let function = aotModule(net) { (net: Net, x: Tensor) in
      net.eval()
      return try net(x)
    }
    XCTAssertThrowsError(try function(batch(0).x)) { XCTAssertTrue("\($0)".contains("before the call"), "\($0)") }
  }
}
