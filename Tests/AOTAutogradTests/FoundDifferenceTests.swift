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

  private static func leaf(_ elements: [Float]) throws -> Tensor {
    try Tensor(elements, shape: [elements.count]).requiringGrad()
  }
}
