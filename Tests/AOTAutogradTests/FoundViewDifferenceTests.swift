import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import Operators
import TensorCore
import XCTest

/// The smallest forms of differences between compiled and eager functions that random programs have shown, where views and layouts
/// are concerned.
final class FoundViewDifferenceTests: XCTestCase {
  // MARK: Views of computed tensors

  func testOutputIsFollowedToItsBase() throws {
    let views: [(Tensor) throws -> Tensor] = [
      { try $0.narrow(1, from: 0, length: 1) }, { x in try noGrad { try x.view([2]) } }, { try $0.chunk(2)[1] },
      { x in
        _ = try noGrad { try OperatorLibrary.named("aten.transpose_.default")(.reference(x), .int(1), .int(1)) }
        return try noGrad { try x.narrow(0, from: 0, length: 1) }
      },
    ]
    for view in views {
      for isGradEnabled in [true, false] {
        let call = CheckedCall(isGradEnabled: isGradEnabled, afterwards: Self.unsqueezeOutput) {
          [try Self.leaf([1, 2], [2, 1])]
        }
        try aotcheck(calls: [call]) { [try view($0[0] * 2)] }
      }
    }
  }

  func testOutputMadeWithoutGradMayNotBeWrittenToWithGrad() throws {
    let write = { (arguments: [Tensor], outputs: [Tensor?]) in _ = try outputs[0]?.add_(arguments[0]) }
    let call = CheckedCall(isGradEnabled: false, afterwards: write) { [try Self.leaf([1, 2], [2])] }
    try aotcheck(calls: [call]) { _ in [try Tensor([0, 1] as [Float]).view([2])] }
  }

  func testPieceIsNoView() throws {
    let piece = { (x: Tensor) in
      try OperatorLibrary.named("aten._unsafe_view.default")(.reference(x), .list([.int(2), .int(1)]))
    }
    let write = { (arguments: [Tensor], _: [Tensor?]) in _ = try noGrad { try arguments[0].mul_(2) } }
    let call = CheckedCall(afterwards: write) { [try Self.leaf([1, 2], [2])] }
    try aotcheck(calls: [call]) { [try piece($0[0])] }
    try aotcheck(calls: [call]) { inputs in [try noGrad { try piece(inputs[0]).view([2]) }] }
  }

  func testViewStandsBeforeWhatItIsAViewOf() throws {
    let write = { (arguments: [Tensor], outputs: [Tensor?]) in _ = try outputs[1]?.mul_(arguments[0]) }
    let call = CheckedCall(afterwards: write) { [try Self.leaf([1, 2], [2])] }
    try aotcheck(calls: [call]) { inputs in
      let detached = try inputs[0].detach()
      return [try noGrad { try detached.view([2, 1]) }, detached]
    }
  }

  func testDetachInPlaceEndsTheHistory() throws {
    try aotcheck(calls: [CheckedCall { [try Self.leaf([1, 2], [2])] }]) { inputs in
      let factor = try inputs[0] * 3
      _ = try factor.detach_()
      return [try inputs[0] * factor]
    }
  }

  /// Views of one detached tensor, which is no output itself, have one base.
  func testViewsOfAHiddenDetachedTensor() throws {
    let write = { (arguments: [Tensor], outputs: [Tensor?]) in _ = try outputs[0]?.mul_(arguments[0]) }
    let call = CheckedCall(tangent: { _, _ in nil }, afterwards: write) { [try Self.leaf([1, 2], [2])] }
    for factor in [1, 2] {
      try aotcheck(calls: [call]) { inputs in
        let written = try inputs[0].detach()
        _ = try written.cos_()
        let parts = try written.chunk(2)
        return [parts[1], try parts[0].unsqueeze(0)]
      }
      try aotcheck(calls: [call]) { inputs in
        let view = try (factor == 1 ? inputs[0] : inputs[0] * 2).detach().view([2, 1])
        return [try view.view([2]), try view.unsqueeze(0)]
      }
    }
  }

  // MARK: Layouts

  /// A dimension of one element may have any stride, but elements of another type ask for theirs.
  func testWriteThroughAPermutedViewOfBytes() throws {
    try aotcheck(calls: [CheckedCall { [try Tensor([2] as [Float], shape: [1, 1])] }]) { inputs in
      _ = try OperatorLibrary.named("aten.tril_.default")(.reference(inputs[0].view(.int8).permute([1, 0])))
      return [inputs[0]]
    }
  }

  func testViewOfAnotherPartOfMemory() throws {
    let asStrided = try OperatorLibrary.named("aten.as_strided_.default")
    try aotcheck(calls: [CheckedCall { [try Tensor([1] as [Float])] }]) { _ in
      let memory = try Tensor([1, 2, 3, 4] as [Int64], shape: [2, 2])
      _ = try asStrided(.reference(memory), .list([.int(1), .int(1)]), .list([.int(1), .int(1)]))
      let view = try memory.detach()
      return [try asStrided(.reference(view), .list([.int(1), .int(2)]), .list([.int(1), .int(2)]))]
    }
  }

  func testViewAsItsOwnTypeEndsGradients() throws {
    let call = CheckedCall(tangent: { _, _ in nil }) { () throws -> CheckedCall.Arguments in
      let leaf = try Self.leaf([2, -1.25, 0], [1, 3])
      return .init([try OperatorLibrary.named("aten.unbind.int").several(.reference(leaf))[0]], behind: [leaf])
    }
    try aotcheck(calls: [call]) { inputs in
      let view = try inputs[0].view(.float32)
      _ = try view.sin_()
      return [try view.split(sizes: [1, 2])[1]]
    }
  }

  func testUseWithoutHistoryDoesNotKeepALeafsShape() throws {
    let unsqueeze = { (arguments: [Tensor], _: [Tensor?]) in
      _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(arguments[0]), .int(0)) }
    }
    try aotcheck(calls: [CheckedCall(afterwards: unsqueeze) { [try Self.leaf([0.5], [1])] }]) {
      [try $0[0].to(.int32), $0[0]]
    }
  }

  func testLeafIsUsedBeforeItsLayoutChanges() throws {
    try aotcheck(calls: [CheckedCall { [try Self.leaf([1, 2], [2, 1])] }]) { inputs in
      let result = try inputs[0] * 2
      _ = try noGrad { try OperatorLibrary.named("aten.t_.default")(.reference(inputs[0])) }
      return [result]
    }
  }

  func testViewTakenLastIsNotOutdated() throws {
    let look = { (_: [Tensor], outputs: [Tensor?]) in _ = try outputs[0]?.view([3, 1]) }
    let call = CheckedCall(isGradEnabled: false, tangent: { _, _ in nil }, afterwards: look) {
      [try Self.leaf([1, 2, 3], [3, 1])]
    }
    try aotcheck(calls: [call]) { inputs in
      let row = try inputs[0].view([1, 3])
      _ = try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(inputs[0]), .int(0))
      return [try row.view([3])]
    }
  }

  /// What counts as a write does so after autograd has looked at the arguments.
  func testOneOfSeveralViewsIsReadBeforeAnotherChangesItsLayout() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let leaf = try Self.leaf([1, 2, 3], [3, 1])
      let parts = try leaf.split(sizes: [3, 0])
      return .init(parts, behind: [leaf])
    }
    try aotcheck(calls: [call]) { inputs in
      let result = try inputs[0].chunk(2, dimension: 1)[0]
      _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(inputs[1]), .int(0)) }
      return [result]
    }
  }

  func testArgumentIsAViewOfWhatHasAnotherLayoutSince() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let base = try Tensor([1, 2, 3] as [Float])
      let part = try base.split(sizes: [1, 2])[1]
      _ = try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(base), .int(0))
      return [base, part]
    }
    try aotcheck(calls: [call]) { inputs in
      _ = try inputs[1].mul_(2)
      return [inputs[1]]
    }
  }

  func testWriteThroughAViewOfWhatHasAnotherLayoutSince() throws {
    let leaf = try Self.leaf([1, 2], [1, 2])
    let base = try leaf * 1
    let view = try base.view([2])
    _ = try OperatorLibrary.named("aten.t_.default")(.reference(base))
    _ = try view.mul_(3)
    try base.sum().backward()
    XCTAssertEqual(try leaf.grad?.elements(as: Float.self), [3, 3])
  }

  func testLargerElementsBeforeTheirPlaceAreRefused() throws {
    let part = try Tensor([1, 2, 3] as [Float]).narrow(0, from: 1, length: 0)
    XCTAssertThrowsError(try aotFunction { (x: Tensor) in try x.view(.float64) }(part)) {
      XCTAssertEqual(($0 as? CaptureError)?.code, .unsupported)
    }
  }

  /// Offsets are those in the storage: a stand-in that begins at its own start overlaps where the tensor does not.
  func testAbsoluteOffsetBeforeTheArgumentIsRefused() throws {
    let part = try Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [4, 2]).chunk(2)[1]
    XCTAssertThrowsError(
      try aotFunction { (x: Tensor) in
        let view = try x.asStrided([1, 1], [2, 1], offset: 3)
        _ = try OperatorLibrary.named("aten.ne_.Tensor")(.reference(x), .reference(view))
        return view
      }(part)
    ) { XCTAssertEqual(($0 as? CaptureError)?.code, .unsupported) }
  }

  // MARK: Shared memory

  /// A base has elements of arguments that share memory with no other argument.
  func testBaseReachesBeyondTheArguments() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let parts = try Tensor([1.5, 0.5, -1, -1.5] as [Float], shape: [2, 2]).split(sizes: [1, 1])
      return [try parts[1].detach(), parts[1], parts[0]]
    }
    try aotcheck(calls: [call]) { inputs in
      _ = try inputs[1].mul_(2)
      _ = try inputs[2].add_(1)
      _ = try inputs[1].add_(inputs[2])
      return []
    }
  }

  func testBaseOfBothHasOtherMemory() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let base = try Tensor([1.75] as [Float])
      let view = try base.view([1])
      _ = try base.set_(Tensor([0.5] as [Float]))
      return [try view.view([1, 1]), view]
    }
    try aotcheck(calls: [call]) { inputs in
      _ = try inputs[1].mul_(3)
      return [inputs[0]]
    }
  }

  // MARK: Other memory

  func testViewOfGivenMemoryIsOneOfTheArgument() throws {
    let write = { (arguments: [Tensor], outputs: [Tensor?]) in _ = try outputs[0]?.copy_(arguments[1]) }
    let call = CheckedCall(afterwards: write) { [try Tensor([1] as [Float]), try Self.leaf([2], [1])] }
    try aotcheck(calls: [call]) { inputs in
      let memory = try Tensor([3, 4] as [Float])
      return [try OperatorLibrary.setSource(.reference(inputs[0]), .reference(memory)).expand([2])]
    }
  }

  func testGivenMemoryHasAHistory() throws {
    let call = CheckedCall(tangent: { _, _ in nil }) { [try Tensor([1] as [Float]), try Self.leaf([2], [1])] }
    try aotcheck(calls: [call]) { inputs in
      _ = try OperatorLibrary.setSource(.reference(inputs[0]), .reference(inputs[1].relu()))
      return []
    }
  }

  func testHistoryOfABaseEndsBeforeThatOfAnEarlierView() throws {
    let call = CheckedCall(tangent: { _, _ in nil }) { () throws -> CheckedCall.Arguments in
      let base = try Tensor([1] as [Float])
      let view = try base.view([1])
      return [view, try base.requiringGrad()]
    }
    XCTAssertThrowsError(
      try aotcheck(calls: [call]) { inputs in
        _ = try inputs[1].detach_()
        _ = try inputs[0].detach_()
        return [try inputs[0] * 2]
      }
    ) { XCTAssertTrue("\($0)".contains("cannot switch gradients"), "\($0)") }
  }

  func testGivenMemoryGetsAnotherLayout() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let leaf = try Self.leaf([-1.5], [1])
      return .init([try leaf * 2, try leaf * 3], behind: [leaf])
    }
    try aotcheck(configuration: AOTConfiguration(debugAssertions: true), calls: [call]) { inputs in
      _ = try OperatorLibrary.setSource(.reference(inputs[0]), .reference(inputs[1]))
      _ = try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(inputs[1]), .int(-1))
      return []
    }
  }

  // MARK: Writes

  func testWriteOverAllOfAViewThroughUnfold() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let leaf = try Self.leaf([0.75], [1])
      let value = try OperatorLibrary.named("aten.scatter.value_reduce")(
        .reference(leaf), .int(-1), .reference(Tensor([0] as [Int64])), .double(3), .string("add")
      )
      return .init([try value.unfold(0, size: 1, step: 1), value], behind: [leaf])
    }
    try aotcheck(calls: [call]) { inputs in
      _ = try OperatorLibrary.named("aten.lt_.Tensor")(.reference(inputs[0]), .reference(inputs[0]))
      return [inputs[1]]
    }
  }

  func testWriteToNoElements() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let base = try Tensor([1] as [Float], shape: [1, 1])
      return [base, try base.split(sizes: [1, 0], dimension: 1)[1]]
    }
    try aotcheck(calls: [call]) { inputs in
      _ = try inputs[0].expand([1, 0]).mul_(2)
      return [inputs[1]]
    }
  }

  /// A value that is written over needs no gradient, not even one of zeros.
  func testWrittenOverViewNeedsNoDerivative() throws {
    let call = CheckedCall { () throws -> CheckedCall.Arguments in
      let leaf = try Self.leaf([1, 2], [2])
      let index = try Tensor([0, 1] as [Int64])
      let value = try OperatorLibrary.named("aten.scatter.value_reduce")(
        .reference(leaf), .int(0), .reference(index), .double(3), .string("multiply"))
      return .init([try value.view([2, 1])], behind: [leaf])
    }
    try aotcheck(calls: [call]) { inputs in
      [try OperatorLibrary.named("aten.gt_.Scalar")(.reference(inputs[0]), .double(1))]
    }
  }

  func testGradientHasTheShapeOfTheHistory() throws {
    let product = try Self.leaf([1, 2, 3], [3, 1]) * 2
    _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(product), .int(2)) }
    XCTAssertThrowsError(try product.backward(gradient: Tensor([1, 1, 1] as [Float], shape: [3, 1, 1]))) {
      XCTAssertEqual(($0 as? AutogradError)?.code, .invalidGradient)
    }
  }

  func testSavedValueOutlivesItsTensorsMemory() throws {
    let leaf = try Self.leaf([1.75], [])
    let result = try OperatorLibrary.named("aten.max.default")(.reference(leaf))
    _ = try noGrad {
      try OperatorLibrary.setSource(.reference(leaf), .reference(Tensor([-1.25] as [Float], shape: [])))
    }
    try result.backward()
    XCTAssertEqual(try leaf.grad?.elements(as: Float.self), [1])
  }

  func testLeafReturnedUnusedHasTheShapeOfItsFirstUse() throws {
    let call = CheckedCall(
      afterwards: { _, outputs in
        guard let leaf = outputs[1] else { return }
        _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(leaf), .int(1)) }
      }, { [try Self.leaf([1, 2], [1, 2])] })
    try aotcheck(calls: [call]) { [try ($0[0] * 2).gt(1), $0[0]] }
    try aotcheck(calls: [call]) { inputs in
      let constant = try Tensor([1, 2] as [Float], shape: [1, 2])
      _ = try constant.mul_(inputs[0])
      return [try OperatorLibrary.named("aten.gt_.Scalar")(.reference(constant), .double(1)), inputs[0]]
    }
  }

  // MARK: Refusals

  func testRefusals() throws {
    try assertRefused { try OperatorLibrary.named("aten.logical_not_.default")(.reference($0.view(.bool))) }
    try assertRefused { x in
      _ = try OperatorLibrary.named("aten.as_strided_.default")(
        .reference(x), .list([.int(1)]), .list([.int(1)]))
      return try x.mul_(2)
    }
    try assertRefused { x in
      let value = try x * 2
      let view = try value.view([2, 1])
      _ = try value.detach_()
      return view
    }
  }

  func testRefusalsOfWhatAutogradTreatsOtherwise() throws {
    let leaf = try Self.leaf([1, 2], [2])
    let base = try Tensor([1, 2] as [Float])
    let view = try base.view([2])
    _ = try base.requiringGrad()
    let viewOfView = try view.view([2, 1])
    try assertRefused([viewOfView]) { inputs in
      _ = try noGrad { try inputs[0].mul_(2) }
      return try inputs[0] * 2
    }
    try assertRefused([leaf]) { inputs in
      let value = try noGrad { try inputs[0] * 2 }
      let view = try value.view([1, 2])
      _ = try OperatorLibrary.setSource(.reference(value), .reference(inputs[0]))
      return view
    }
    let row = try leaf.view([1, 2]) * 1
    try assertRefused([row]) { inputs in
      _ = try noGrad { try OperatorLibrary.named("aten.squeeze_.dims")(.reference(inputs[0]), .list([.int(0)])) }
      return try OperatorLibrary.named("aten.gt_.Scalar")(.reference(inputs[0].view([2, 1])), .double(1))
    }
    try assertRefused([try Self.leaf([1, 2, 3], [3])]) { inputs in
      let asStrided = try OperatorLibrary.named("aten.as_strided_.default")
      _ = try noGrad { try asStrided(.reference(inputs[0]), .list([.int(2), .int(2)]), .list([.int(1), .int(1)])) }
      return try OperatorLibrary.named("aten.unsafe_chunk.default").several(.reference(inputs[0]), .int(2))[1]
    }
    let product = try leaf * 1
    try assertRefused([product, try product.view([2, 1])]) { inputs in
      let view = try inputs[1].t()
      _ = try OperatorLibrary.named("aten.as_strided_.default")(
        .reference(inputs[0]), .list([.int(1)]), .list([.int(1)]), .int(1))
      return view
    }
    try assertRefused([product, try product.view([2])]) { inputs in
      _ = try inputs[0].mul_(2)
      _ = try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(inputs[1]), .int(0))
      return try inputs[1].chunk(2, dimension: 1)[0]
    }
    let shared = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    try assertRefused([leaf, try shared.detach(), shared]) { inputs in
      _ = try OperatorLibrary.named("aten.t_.default")(.reference(inputs[1]))
      let view = try inputs[1].unsqueeze(0)
      _ = try inputs[2].mul_(2)
      return view
    }
  }

  private func assertRefused(
    _ inputs: [Tensor], _ function: @escaping ([Tensor]) throws -> Tensor, line: UInt = #line
  ) throws {
    XCTAssertThrowsError(try aotFunction(function)(inputs), line: line) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented, "\($0)", line: line)
    }
  }

  private func assertRefused(_ function: @escaping (Tensor) throws -> Tensor, line: UInt = #line) throws {
    let input = try Self.leaf([1, 2], [2]) * 1
    XCTAssertThrowsError(try aotFunction(function)(input), line: line) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented, "\($0)", line: line)
    }
    XCTAssertEqual(try input.elements(as: Float.self), [1, 2], line: line)
  }

  private static func unsqueezeOutput(_ arguments: [Tensor], _ outputs: [Tensor?]) throws {
    guard let output = outputs[0] else { return }
    _ = try noGrad { try OperatorLibrary.named("aten.unsqueeze_.default")(.reference(output), .int(0)) }
  }

  private static func leaf(_ elements: [Float], _ shape: [Int]) throws -> Tensor {
    try Tensor(elements, shape: shape).requiringGrad()
  }
}
