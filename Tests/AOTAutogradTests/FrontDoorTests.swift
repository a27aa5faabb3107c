import AOTAutograd
import XCTest

final class FrontDoorTests: XCTestCase {
  private let configurations: [(String, AOTConfiguration)] = [
    ("cpu", AOTConfiguration()), ("interpret", AOTConfiguration(compiler: .interpret)),
    ("cpu, default partition", AOTConfiguration(partitioner: .default)), ("none", AOTConfiguration(compiler: .none)),
  ]

  private func leaf(_ values: [Float], _ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(values, shape: shape)
    try tensor.setRequiresGrad(true)
    return tensor
  }

  func testTheExampleOfTheDocumentation() throws {
    for (name, configuration) in configurations {
      let step = aotFunction(configuration: configuration) { (x: Tensor, w: Tensor) in
        try x.matmul(w).tanh().sum()
      }
      let x = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
      let w = try leaf([0.1, -0.2, 0.3, 0.05, -0.1, 0.2], [3, 2])
      let loss = try step(x, w)
      try loss.backward()
      let eagerW = try leaf([0.1, -0.2, 0.3, 0.05, -0.1, 0.2], [3, 2])
      let eager = try x.matmul(eagerW).tanh().sum()
      try eager.backward()
      XCTAssertEqual(try loss.elements(as: Float.self)[0], try eager.elements(as: Float.self)[0], accuracy: 1e-6, name)
      let gradient = try XCTUnwrap(w.grad).elements(as: Float.self)
      for (got, want) in zip(gradient, try XCTUnwrap(eagerW.grad).elements(as: Float.self)) {
        XCTAssertEqual(got, want, accuracy: 1e-6, name)
      }
    }
  }

  func testASecondCallReusesTheEntryAndAnotherShapeCompilesAnew() throws {
    let function = aotFunction { (x: Tensor) in try x * x + 1 }
    XCTAssertEqual(try function(Tensor([1, 2] as [Float])).elements(as: Float.self), [2, 5])
    XCTAssertEqual(try function(Tensor([3, 4] as [Float])).elements(as: Float.self), [10, 17])
    XCTAssertEqual(function.entryCount, 1)
    XCTAssertEqual(try function(Tensor([2] as [Float])).elements(as: Float.self), [5])
    XCTAssertEqual(function.entryCount, 2)
  }

  func testClosedOverTensorsAreReadAnewAndGetGradients() throws {
    let w = try leaf([1, 2], [2])
    let function = aotFunction { (x: Tensor) in try (x * w).sum() }
    let x = try Tensor([3, 4] as [Float])
    try function(x).backward()
    XCTAssertEqual(try w.grad?.elements(as: Float.self), [3, 4])
    _ = try noGrad { try w.mul_(2) }
    XCTAssertEqual(try function(x).elements(as: Float.self), [22])
    XCTAssertEqual(function.entryCount, 1)
  }

  func testMutatedInputsOutputsThatAreInputsAndViews() throws {
    for (name, configuration) in configurations {
      let function = aotFunction(configuration: configuration) { (x: Tensor) in
        try x.add_(1)
        return (x, try x.view([2, 2]), try x * 2)
      }
      let x = try Tensor([1, 2, 3, 4] as [Float])
      let (same, view, double) = try function(x)
      XCTAssertTrue(same === x, name)
      XCTAssertTrue(view.storage === x.storage, name)
      XCTAssertEqual(view.shape, [2, 2], name)
      XCTAssertEqual(try x.elements(as: Float.self), [2, 3, 4, 5], name)
      XCTAssertEqual(try double.elements(as: Float.self), [4, 6, 8, 10], name)
    }
  }

  func testTheSameTensorTwiceSumsItsGradient() throws {
    let function = aotFunction { (a: Tensor, b: Tensor) in try (a * b).sum() }
    let x = try leaf([2, 3], [2])
    try function(x, x).backward()
    XCTAssertEqual(try x.grad?.elements(as: Float.self), [4, 6])
    let y = try leaf([5, 7], [2])
    try function(x.detach(), y).backward()
    XCTAssertEqual(try y.grad?.elements(as: Float.self), [2, 3])
    XCTAssertEqual(function.entryCount, 2)
  }

  func testAWholeTrainingStepWithGradInside() throws {
    let w = try leaf([1, 1], [2])
    let step = aotFunction { (x: Tensor) in
      let loss = try (x * w).sum()
      let gradients = try grad(of: loss, with: [w])
      try noGrad { _ = try w.sub_(gradients[0], alpha: 0.5) }
      return loss
    }
    let x = try Tensor([2, 4] as [Float])
    XCTAssertEqual(try step(x).elements(as: Float.self), [6])
    XCTAssertEqual(try w.elements(as: Float.self), [0, -1])
    XCTAssertEqual(try step(x).elements(as: Float.self), [-4])
    XCTAssertEqual(try w.elements(as: Float.self), [-1, -3])
  }

  func testReadingAnElementWhileCapturingThrowsNamingTheWayOut() throws {
    let function = aotFunction { (x: Tensor) in try x.sum().item().doubleValue > 0 ? x : x.neg() }
    XCTAssertThrowsError(try function(Tensor([1] as [Float]))) { error in
      XCTAssertTrue("\(error)".contains("FrontDoorTests.swift"), "\(error)")
    }
  }

  func testAClosureThatGivesNoTensorThrows() throws {
    struct Nothing {}
    let function = aotFunction { (x: Tensor) in Nothing() }
    XCTAssertThrowsError(try function(Tensor([1] as [Float]))) { error in
      XCTAssertTrue("\(error)".contains("Nothing"), "\(error)")
    }
  }

  func testBackwardInsideACapturedFunctionThrows() throws {
    let w = try leaf([1], [1])
    let function = aotFunction { (x: Tensor) in
      let loss = try (x * w).sum()
      try loss.backward()
      return loss
    }
    XCTAssertThrowsError(try function(Tensor([1] as [Float])))
    XCTAssertNil(w.grad)
  }

  func testReadingAGradientInsideACapturedFunctionThrows() throws {
    let w = try leaf([1], [1])
    try (w * 2).sum().backward()
    let function = aotFunction { (x: Tensor) in try x + w.grad! }
    XCTAssertThrowsError(try function(Tensor([1] as [Float]))) { error in
      XCTAssertTrue("\(error)".contains("argument"), "\(error)")
    }
  }

  func testStagesShowEachGraph() throws {
    let function = aotFunction { (x: Tensor, w: Tensor) in try x.matmul(w).tanh().sum() }
    let stages = try function.stages(Tensor([1, 2] as [Float], shape: [1, 2]), leaf([1, 2], [2, 1]))
    for graph in [stages.captured, stages.functional, stages.joint, stages.forward, stages.backward] {
      let graph = try XCTUnwrap(graph)
      let text = graph.description
      let parsed = try Graph(parsing: text, operators: OperatorLibrary.table)
      XCTAssertEqual(parsed.description, text)
      XCTAssertTrue(graph.lint().isEmpty, "\(graph.lint())")
    }
    XCTAssertTrue(stages.captured.description.contains("FrontDoorTests.swift"), stages.captured.description)
  }
}
