import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import Operators
import TensorCore
import XCTest

/// The smallest forms of differences between compiled and eager functions that random programs have shown.
final class FoundDifferenceTests: XCTestCase {
  /// Eager autograd misses a derivative in a backward pass alone, and so does a compiled function.
  func testMissingDerivativeIsTheBackwardPass() throws {
    let index = try Tensor([1, 0] as [Int64], shape: [2])
    let body = { (inputs: [Tensor]) in
      [
        try OperatorLibrary.named("aten.scatter.value_reduce")(
          .reference(inputs[0]), .int(0), .reference(index), .double(2), .string("add")), try inputs[0] * 3,
      ]
    }
    try aotcheck(calls: [CheckedCall(tangent: { _, _ in nil }) { [try Self.leaf([1, 2])] }]) { try body($0) }
    let input = try Self.leaf([1, 2])
    let outputs = try aotFunction { (inputs: [Tensor]) in try body(inputs) }([input])
    XCTAssertThrowsError(try outputs[0].sum().backward()) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notDifferentiable)
    }
    try outputs[1].sum().backward()
    XCTAssertEqual(try input.grad?.elements(as: Float.self), [3, 3])
  }

  /// A formula that an argument is not for fails in the backward pass alone, too.
  func testRefusingFormulaIsTheBackwardPass() throws {
    try aotcheck(calls: [CheckedCall { [try Self.leaf([0.75])] }]) {
      [try OperatorLibrary.named("aten.celu_.default")(.reference($0[0] + $0[0]), .double(-1))]
    }
  }

  /// What a derivative is missing of is no obstacle where gradients do not go through it.
  func testMissingDerivativeBesideTheHistory() throws {
    let input = try Self.leaf([0.5]) * 1
    _ = try aotFunction { (x: Tensor) in
      let detached = try x.detach()
      let index = try Tensor([0] as [Int64])
      _ = try OperatorLibrary.named("aten.scatter_.reduce")(
        .reference(detached), .int(0), .reference(index), .reference(x), .string("add"))
      _ = try x.mul_(2)
      return detached
    }(input)
    try input.backward()
  }

  func testCopyOfItselfIsAWrite() throws {
    try aotcheck(calls: [CheckedCall { [try Tensor([2] as [Float], shape: [1])] }]) { inputs in
      try inputs[0].copy_(inputs[0])
      return []
    }
  }

  func testLayoutChangeOfAViewOfALeafUnderNoGrad() throws {
    let leafView = { (change: String) in
      try aotcheck(
        calls: [
          CheckedCall(tangent: { _, _ in nil }) {
            let leaf = try Self.leaf([2])
            return .init([try leaf.view([1])], behind: [leaf])
          }
        ]
      ) { inputs in
        _ = try noGrad { try OperatorLibrary.named(change)(.reference(inputs[0])) }
        return []
      }
    }
    try leafView("aten.detach_.default")
    try leafView("aten.squeeze_.default")
  }

  /// A view of a leaf keeps its history though a detached alias of the leaf was written to.
  func testViewOfALeafBesideAWrittenAlias() throws {
    for mode in [true, false] {
      try aotcheck(
        calls: [
          CheckedCall(isGradEnabled: mode, tangent: { _, _ in nil }) {
            let leaf = try Self.leaf([1, 2])
            return .init([try leaf.detach(), leaf], behind: [leaf])
          }
        ]
      ) { inputs in
        try inputs[0].mul_(2)
        return [try inputs[1].view([2, 1])]
      }
    }
  }

  /// A view whose layout changes under `noGrad` is still the view that it was: it may be written to.
  func testViewThatIsGivenAnotherLayoutUnderNoGrad() throws {
    try aotcheck(calls: [CheckedCall { [try Self.leaf([2])] }]) { inputs in
      let view = try inputs[0].alias()
      _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(view), .int(-1)) }
      return [view]
    }
    try aotcheck(calls: [CheckedCall { [try Self.leaf([2])] }]) { inputs in
      let base = try inputs[0] * 3
      let view = try base.alias()
      _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(view), .int(-1)) }
      try view.mul_(2)
      return [base]
    }
  }

  func testGradientOfALeafThatIsGivenAnotherLayoutUnderNoGrad() throws {
    for partitioner in [AOTConfiguration.PartitionerChoice.default, .minCut] {
      try aotcheck(
        configuration: AOTConfiguration(partitioner: partitioner), calls: [CheckedCall { [try Self.leaf([2, 3])] }]
      ) { inputs in
        try noGrad { _ = try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(inputs[0]), .int(1)) }
        return [try inputs[0].tril()]
      }
    }
  }

  func testTheSameViewTwiceOfAnInputThatSharesWrittenMemory() throws {
    try aotcheck(
      calls: [
        CheckedCall {
          let base = try Tensor([0.5, 1] as [Float])
          return .init([try base.detach(), base])
        }
      ]
    ) { inputs in
      let view = try inputs[0].view([2, 1])
      try inputs[1].mul_(2)
      return [view, view]
    }
  }

  func testGradientsSwitchedOnInsideAreRefusedForViewsAndWrites() throws {
    let view = aotFunction { (inputs: [Tensor]) in [try enableGrad { try inputs[0].view([1, 2]) }] }
    let write = aotFunction { (inputs: [Tensor]) in [try enableGrad { try inputs[0].cos_() }] }
    for function in [view, write] {
      let computed = try Self.leaf([1, 2]) * 1
      XCTAssertThrowsError(try noGrad { try function([computed]) }) {
        XCTAssertEqual(($0 as? AOTError)?.code, .unsupported)
      }
      XCTAssertEqual(try computed.detach().elements(as: Float.self), [1, 2])
    }
  }

  /// The base of a view that was made a leaf knows nothing of its gradient.
  func testViewThatIsALeafBesideItsBaseIsRefused() throws {
    let function = aotFunction { (inputs: [Tensor]) in
      _ = try noGrad { try inputs[0].mul_(2) }
      return [try inputs[0].sum() + inputs[1].sum()]
    }
    let base = try Tensor([1, 2] as [Float], shape: [2])
    let view = try base.view([2, 1])
    try view.setRequiresGrad(true)
    XCTAssertThrowsError(try function([view, base])) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented)
    }
    XCTAssertEqual(try base.elements(as: Float.self), [1, 2])
  }

  /// A view of a view that was made a leaf leads to that leaf.
  func testViewOfAViewThatIsALeaf() throws {
    try aotcheck(
      calls: [
        CheckedCall {
          let leaf = try Tensor([1, 2] as [Float], shape: [2]).view([2, 1])
          try leaf.setRequiresGrad(true)
          return .init([try leaf.view([1, 2])], behind: [leaf])
        }
      ]
    ) { [try $0[0] * $0[0]] }
  }

  func testOtherMemoryForAnInputThatSharesWrittenMemoryIsRefused() throws {
    let function = aotFunction { (inputs: [Tensor]) in
      try inputs[0].add_(3)
      _ = try OperatorLibrary.setSource(.reference(inputs[1]), .reference(Tensor([1] as [Float], shape: [1])))
      return [] as [Tensor]
    }
    let first = try Tensor([5] as [Float], shape: [1])
    XCTAssertThrowsError(try function([first, first.detach()])) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented)
    }
    XCTAssertEqual(try first.elements(as: Float.self), [5])
  }

  /// A number is one element: there is nothing after it to be read.
  func testScatterDoesNotReadBehindANumber() throws {
    let input = try Tensor([1, 2] as [Float], shape: [2])
    XCTAssertThrowsError(
      try input.scatterAdd_(0, Tensor([0, 1] as [Int64], shape: [2]), Tensor([3] as [Float], shape: []))
    ) { XCTAssertEqual(($0 as? OperatorError)?.code, .shape) }
  }

  /// Eager autograd checks an index though nothing reads what it leads to.
  func testDeadCallsRefuseElements() throws {
    let matrix = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let zero = try Tensor([0] as [Int64])
    let calls: [(Tensor) throws -> Void] = [
      { _ = try $0.indexSelect(0, Tensor([5] as [Int64])) },
      { _ = try $0.gather(0, Tensor([5] as [Int64], shape: [1, 1])) },
      { _ = try $0.to(.int64).remainder(zero) },
      { _ = try OperatorLibrary.multinomial.call([.reference($0.neg()), .int(1)]) },
    ]
    for (index, call) in calls.enumerated() {
      XCTAssertThrowsError(try call(matrix), "call \(index)")
      for compiler in [AOTConfiguration.Compiler.cpu, .interpret] {
        let function = aotFunction(configuration: AOTConfiguration(compiler: compiler)) { (x: Tensor) in
          try call(x)
          return try x + 1
        }
        XCTAssertThrowsError(try function(matrix), "call \(index)") { XCTAssertTrue($0 is OperatorError, "\($0)") }
      }
    }
  }

  /// A gradient that does not arrive is no gradient of zeros: the logarithm's derivative at 0 would make it NaN.
  func testOutputWithoutAGradientTakesNoPart() throws {
    try aotcheck(
      calls: [
        CheckedCall(tangent: { index, output in index == 1 ? try output.onesLike() : nil }) {
          let x = try Tensor([0, 1] as [Float]).requiringGrad()
          return .init([x], behind: [x])
        }
      ]
    ) { [try $0[0].log() * 0, try $0[0] * 3] }
  }

  /// A gradient of a result that nothing was asked of is not zero, but none.
  func testInputsOfAnOutputWithoutAGradientGetNone() throws {
    let function = aotFunction { (x: Tensor, y: Tensor) in [try x * 2, try y * 3] }
    let (x, y) = (try Self.leaf([1]), try Self.leaf([1]))
    try function(x, y)[0].sum().backward()
    XCTAssertEqual(try x.grad?.elements(as: Float.self), [2])
    XCTAssertNil(y.grad)
  }

  /// A copy that dies while its source has been written back already.
  func testDeadScatterAfterAWriteToAnInput() throws {
    try aotcheck(
      calls: [CheckedCall { .init([try Tensor([1, 2, 3] as [Float])]) }]
    ) { inputs in
      let (matrix, vector) = (
        try Tensor([1, 0, 0, 1, 1, 1] as [Float], shape: [3, 2]), try Tensor([2, 1] as [Float])
      )
      _ = try OperatorLibrary.addmv.inPlace.call([
        .reference(inputs[0]), .reference(matrix), .reference(vector), .int(-2), .int(1),
      ])
      _ = try inputs[0].scatter(0, Tensor([0, 2, 1] as [Int64]), Tensor([7, 8, 9] as [Float]))
      return []
    }
  }

  /// Gradients do not see a layout change with grad mode off: they come to the elements at the same indices.
  func testSquareLayoutChangeWithoutGrad() throws {
    try aotcheck(
      calls: [
        CheckedCall {
          let leaf = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]).requiringGrad()
          return .init([try leaf.exp()], behind: [leaf])
        }
      ]
    ) { inputs in
      let before = try inputs[0] * 2
      _ = try noGrad { try OperatorLibrary.transpose.inPlace.call([.reference(inputs[0]), .int(0), .int(1)]) }
      return [try before + inputs[0].tril()]
    }
  }

  /// A piece of `unsafe_split` is no view: what it was taken of may be written to.
  func testUnsafeSplitKeepsItsHistory() throws {
    try aotcheck(
      calls: [
        CheckedCall {
          let leaf = try Self.leaf([1, 2])
          return .init([leaf], behind: [leaf])
        }
      ]
    ) { inputs in
      let sum = try inputs[0] * 1.5
      let piece = try OperatorLibrary.unsafeSplit.several(.reference(sum), .int(1))[0]
      _ = try sum.exp_()
      return [piece]
    }
  }

  /// The base of a view may be passed as well or not: compiled code for one is not that for the other.
  func testBaseOrAnotherViewOfIt() throws {
    try aotcheck(
      calls: [
        CheckedCall {
          let base = try Tensor([1, 2] as [Float])
          return .init([try base.view([2]), base])
        },
        CheckedCall {
          let base = try Tensor([1, 2] as [Float])
          return .init([try base.view([2]), try base.view([2])])
        },
      ]
    ) { inputs in
      try inputs[0].mul_(2)
      return [inputs[1]]
    }
  }

  /// A view that autograd refuses to use since its memory was written to, and one that it does not: two signatures.
  func testViewThatIsLostIsRefusedAsEagerly() throws {
    let function = aotFunction { (x: Tensor) in try x * 2 }
    func piece() throws -> Tensor { try Self.leaf([1, 2]).mul(1).split(1)[0] }
    XCTAssertEqual(try function(piece()).detach().elements(as: Float.self), [2])
    let lost = try piece()
    _ = try noGrad { try lost.mul_(3) }
    XCTAssertThrowsError(try lost * 2) { XCTAssertEqual(($0 as? AutogradError)?.code, .viewInPlace) }
    XCTAssertThrowsError(try function(lost)) { XCTAssertEqual(($0 as? AutogradError)?.code, .viewInPlace) }
  }

  /// As PyTorch does, whatever the grad mode.
  func testDetachInPlace() throws {
    let computed = try Self.leaf([1]) * 2
    _ = try noGrad { try computed.detach_() }
    XCTAssertFalse(computed.requiresGrad)
    let view = try (Self.leaf([1, 2]) * 2).view([2, 1])
    XCTAssertThrowsError(try noGrad { try view.detach_() }) {
      XCTAssertEqual(($0 as? AutogradError)?.code, .viewInPlace)
    }
  }

  /// A gradient may have fewer dimensions than a value whose tensor lost some with grad mode off.
  func testGradientOfAnotherRankIsAnError() throws {
    let x = try Tensor([1] as [Float], shape: [1, 1]).requiringGrad()
    let y = try x.scatter(0, Tensor([0] as [Int64], shape: [1, 1]), Tensor([2] as [Float], shape: [1, 1]))
    _ = try noGrad { try OperatorLibrary.squeeze.inPlace.call([.reference(y)]) }
    XCTAssertThrowsError(try y.backward()) { XCTAssertEqual(($0 as? AutogradError)?.code, .invalidGradient) }
  }

  /// Bytes that are neither 0 nor 1 hold, as a view of other elements shows them.
  func testBoolViewOfOtherBytes() throws {
    let view = try Tensor([2, 0] as [UInt8]).view(.bool)
    XCTAssertEqual(try view.elements(as: Bool.self), [true, false])
    XCTAssertEqual("\(view)", "tensor([true, false], bool)")
    XCTAssertEqual(try view.sort().values.elements(as: Bool.self), [false, true])
  }

  func testNormalizedAfterAWriteThroughAView() throws {
    let call = CheckedCall(tangent: { $0 == 1 ? try CheckedCall.unevenTangent(root: $0, tensor: $1) : nil }) {
      let leaf = try Tensor([1.25, 0.25, 1.5, -1.75, 1, 1.25, -0.75, -0.25] as [Float], shape: [2, 4]).requiringGrad()
      let mask = try Tensor([false, true, true, true] as [Bool], shape: [4])
      return .init([try leaf.maskedFill(mask, 0.25)], behind: [leaf])
    }
    try aotcheck(calls: [call]) { inputs in
      _ = try OperatorLibrary.named("aten.sigmoid_.default")(.reference(inputs[0].transpose(0, 1)))
      let rows = try inputs[0].transpose(0, 1)
      let normalized = try OperatorLibrary.named("aten._fused_rms_norm.default").several(
        .reference(rows), .list([.int(2)]), .none, .none)[0]
      return [try noGrad { try rows + 1 }, normalized]
    }
  }

  private static func leaf(_ elements: [Float]) throws -> Tensor {
    try Tensor(elements, shape: [elements.count]).requiringGrad()
  }
}
