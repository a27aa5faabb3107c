import AOTArtifacts
import EagerAutograd
import Functionalization
import GraphIR
import Operators
import TensorCore
import XCTest

final class FunctionalizationTests: XCTestCase {
  private typealias Kind = ViewAndMutationMeta.OutputInfo.Kind

  private func expect(
    _ functional: FunctionalGraph, _ text: String, file: StaticString = #filePath, line: UInt = #line
  ) {
    XCTAssertEqual(skeleton(functional.module.graph), text, file: file, line: line)
    XCTAssertEqual(functional.module.graph.outputDescriptors.count, functional.returnedCount, file: file, line: line)
  }

  // MARK: Writes

  func testWriteToInputIsCopiedAtTheEnd() throws {
    let functional = try functionalized([counting([2, 3])]) { [.reference(try $0[0].add_(1) * 2)] }
    expect(
      functional,
      """
      arg0: input
      add = add.Tensor(arg0, 1)
      mul = mul.Tensor(add, 2)
      copy_ = copy_(arg0, add)
      return (mul)
      """)
    XCTAssertEqual(functional.meta.inputs[0].mutation, .inGraph)
    XCTAssertTrue(functional.meta.inputs[0].mutatesData)
    XCTAssertFalse(functional.meta.inputs[0].mutationsUnderNoGrad)
  }

  func testWriteThroughViewsOfViewsReachesTheBaseAndItsOtherViews() throws {
    let functional = try functionalized([counting([2, 3])]) { arguments in
      let whole = try arguments[0].view([6])
      try arguments[0].t()[0].mul_(2)
      return [.reference(try whole.sum())]
    }
    expect(
      functional,
      """
      arg0: input
      t = t(arg0)
      select = select.int(t, 0, 0)
      mul = mul.Tensor(select, 2)
      select_scatter = select_scatter(t, mul, 0, 0)
      t_1 = t(select_scatter)
      view_1 = view(t_1, [6])
      sum = sum(view_1)
      copy_ = copy_(arg0, t_1)
      return (sum)
      """)
  }

  func testAssignmentToASlice() throws {
    let functional = try functionalized([counting([4]), counting([2])]) { arguments in
      try arguments[0].slice(0, from: 1, to: 3).copy_(arguments[1])
      return []
    }
    expect(
      functional,
      """
      arg0: input
      arg1: input
      slice_scatter = slice_scatter(arg0, arg1, 0, 1, 3)
      copy_ = copy_(arg0, slice_scatter)
      return ()
      """)
  }

  func testAssignmentOfEverythingIsOneCopy() throws {
    let functional = try functionalized([counting([4]), counting([4])]) { arguments in
      try arguments[0].slice(0, from: 0, to: nil).copy_(arguments[1])
      return []
    }
    expect(functional, "arg0: input\narg1: input\ncopy_ = copy_(arg0, arg1)\nreturn ()")
  }

  func testSwappedInputsAreReadBeforeTheyAreWritten() throws {
    let inputs = [try counting([2]), try tensor([7, 8], [2])]
    let run = try staged(
      captured(inputs) { arguments in
        let old = try arguments[0].clone()
        try arguments[0].copy_(arguments[1])
        try arguments[1].copy_(old)
        return []
      })
    _ = try run(inputs)
    XCTAssertEqual(try inputs[0].elements(as: Float.self), [7, 8])
    XCTAssertEqual(try inputs[1].elements(as: Float.self), [0, 1])
  }

  func testWrittenConstantIsFreshAtEveryCall() throws {
    let input = try counting([2])
    let run = try staged(
      captured([input]) { arguments in
        let sum = try tensor([10, 20], [2])
        try sum.add_(arguments[0])
        return [.reference(sum)]
      })
    for _ in 0..<2 {
      let result = try run([input])[0].reference
      XCTAssertEqual(try result?.elements(as: Float.self), [10, 21])
      try result?.zero_()
    }
  }

  func testReturnedConstantIsACopy() throws {
    let functional = try functionalized([counting([2])]) { _ in [.reference(try tensor([1, 2], [2]))] }
    expect(functional, "arg0: input\nconstant0 = constant0\nclone = clone(constant0)\nreturn (clone)")
  }

  func testDataWrittenAndRestoredIsStillAWrite() throws {
    let functional = try functionalized([counting([2])]) {
      try $0[0].copy_($0[0]); return []
    }
    expect(functional, "arg0: input\nreturn ()")
    XCTAssertTrue(functional.meta.inputs[0].countsAsWritten)
  }

  func testResultIsCastToWhatItIsWrittenTo() throws {
    let functional = try functionalized([counting([2]), counting([2]).converted(to: .float64)]) {
      try $0[0].add_($0[1])
      return []
    }
    expect(
      functional,
      """
      arg0: input
      arg1: input
      add = add.Tensor(arg0, arg1)
      to_copy = _to_copy(add, dtype=float32)
      copy_ = copy_(arg0, to_copy)
      return ()
      """)
  }

  func testWriteToSharedMemoryIsRefused() throws {
    let base = try counting([4])
    XCTAssertThrowsError(
      try functionalized([base.slice(0, from: 0, to: 3), base.slice(0, from: 1, to: nil)]) {
        try $0[0].add_(1)
        return []
      }
    ) { error in
      XCTAssertEqual((error as? OperatorError)?.code, .notImplemented)
      XCTAssertTrue("\(error)".contains("'arg0' and 'arg1'"), "\(error)")
      XCTAssertTrue("\(error)".contains("FunctionalizationTests.swift"), "\(error)")
    }
  }

  // MARK: What autograd sees

  func testTrackedWriteIsReturned() throws {
    let functional = try functionalized([withHistory(counting([2]))]) {
      try $0[0].mul_(3); return []
    }
    expect(functional, "arg0: input\nmul = mul.Tensor(arg0, 3)\nreturn (mul)")
    XCTAssertEqual(functional.module.graph.outputDescriptors, [.mutated(.input(0))])
    XCTAssertEqual(functional.meta.inputs[0].mutation, .outOfGraph)
  }

  func testValueWithAGradientWrittenToAnInputWithoutOneIsReturned() throws {
    let functional = try functionalized([counting([2]), counting([2]).requiringGrad()]) {
      try $0[0].mul_($0[1])
      return []
    }
    XCTAssertEqual(functional.meta.inputs[0].mutation, .outOfGraph)
    XCTAssertEqual(functional.meta.inputs[1].mutation, .none)
  }

  func testUntrackedWritesStayInTheGraphAndKeepTheHistory() throws {
    let functional = try functionalized([counting([2]).requiringGrad()]) { arguments in
      try noGrad { _ = try arguments[0].add_(1) }
      return [.reference(try arguments[0] * 2)]
    }
    expect(
      functional,
      """
      arg0: input
      add = add.Tensor(arg0, 1)
      with_history = with_history(add, arg0)
      mul = mul.Tensor(with_history, 2)
      copy_ = copy_(arg0, add)
      return (mul)
      """)
    XCTAssertEqual(functional.meta.inputs[0].mutation, .inGraph)
    XCTAssertTrue(functional.meta.inputs[0].mutationsUnderNoGrad)
  }

  func testWriteThroughDetachIsHidden() throws {
    let functional = try functionalized([withHistory(counting([2]))]) {
      try $0[0].detach().zero_(); return []
    }
    XCTAssertTrue(functional.meta.inputs[0].mutationsHiddenFromAutograd)
    XCTAssertEqual(functional.meta.inputs[0].mutation, .inGraph)
  }

  // MARK: Outputs

  func testKindsOfOutputs() throws {
    let functional = try functionalized([counting([2, 3])]) { arguments in
      let x = arguments[0]
      let y = try x + 1
      let z = try x * 2
      return [
        .reference(x), .reference(try x.t()), .reference(try y[0]), .reference(try y.t()), .reference(try z[0]),
        .reference(z), .reference(z), .reference(try (x * 3).t()), .none, .int(4),
      ]
    }
    let kinds: [Kind] = [
      .isInput(0), .aliasOfInput(0), .aliasOfIntermediate(0), .aliasOfIntermediate(0), .aliasOfOutput(5), .nonAlias,
      .aliasOfOutput(5), .nonAlias, .constant(.none), .constant(.int(4)),
    ]
    XCTAssertEqual(functional.meta.outputs.map(\.kind), kinds)
    XCTAssertEqual(functional.meta.outputs.map(\.views.count), [0, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    XCTAssertEqual(
      functional.module.graph.outputDescriptors, [.output(5), .output(7), .intermediateBase(0)])
    XCTAssertEqual(functional.meta.intermediateBaseCount, 1)
  }

  func testOutputsKeepTheirStrides() throws {
    // The functional value of the written slice is dense; the slice is not.
    let functional = try functionalized([counting([2, 4])]) { arguments in
      let part = try (arguments[0] + 1).slice(1, from: 1, to: 3)
      return [.reference(try part.mul_(2))]
    }
    expect(
      functional,
      """
      arg0: input
      add = add.Tensor(arg0, 1)
      slice = slice.Tensor(add, 1, 1, 3)
      mul = mul.Tensor(slice, 2)
      slice_scatter = slice_scatter(add, mul, 1, 1, 3)
      slice_1 = slice.Tensor(slice_scatter, 1, 1, 3)
      return (slice_1)
      """)
    XCTAssertEqual(functional.meta.outputs[0].meta?.layout, Layout(sizes: [2, 2], strides: [4, 1], offset: 1))
  }

  func testLayoutChangeOfAnInput() throws {
    let functional = try functionalized([counting([2, 3])]) { arguments in
      let before = try arguments[0].view([6])
      _ = try OperatorLibrary.t.inPlace(.reference(arguments[0]))
      return [.reference(before), .reference(try arguments[0][0])]
    }
    expect(functional, "arg0: input\nreturn ()")
    let input = functional.meta.inputs[0]
    XCTAssertTrue(input.mutatesMetadata)
    XCTAssertFalse(input.mutatesData)
    XCTAssertEqual(input.layoutAfter, Layout(sizes: [3, 2], strides: [1, 3]))
    XCTAssertEqual(functional.meta.outputs.map { $0.views.map(\.target.name.base) }, [["view"], ["t", "select"]])
  }

  func testGradModeAndSourceLocationsCarryOver() throws {
    let functional = try functionalized([withHistory(counting([2]))]) { arguments in
      [.reference(try noGrad { try arguments[0].tanh() })]
    }
    let graph = functional.module.graph
    let tanh = try XCTUnwrap(graph.nodes.first { graph[$0].target?.name.base == "tanh" })
    XCTAssertEqual(graph[metadata: tanh].gradMode, false)
    XCTAssertEqual(graph[metadata: tanh].source?.file, "FunctionalizationTests.swift")
  }
}

extension FunctionalGraph {
  /// How many values the graph returns.
  fileprivate var returnedCount: Int { module.graph.result.elements?.count ?? 0 }
}
