import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import RuntimeWrappers
import TensorCore
import XCTest

/// What the wrapper makes of a capture before anything else sees it.
final class SyntheticBaseTests: XCTestCase {
  func testNothingIsDoneWhereNothingIsWrittenOrShared() throws {
    let y = try counting([4])
    let reading = try captured([y[0..<3], y[1..<4]]) { [.reference(try $0[0] + $0[1])] }
    XCTAssertNil(try SyntheticBase.preCompile(reading).1)
    let apart = try captured([counting([3]), counting([3])]) { [.reference(try $0[0].add_($0[1]))] }
    XCTAssertNil(try SyntheticBase.preCompile(apart).1)
  }

  func testViewsOfOneTensorAreMadeOfItInsideTheGraph() throws {
    let y = try counting([4])
    let capture = try captured([y[0..<3], counting([1]), y[1..<4]]) { arguments in
      try arguments[0].mul_(arguments[1])
      return [.reference(try arguments[2] + 1)]
    }
    let (inner, wrapper) = try SyntheticBase.preCompile(capture)
    XCTAssertNotNil(wrapper)
    XCTAssertEqual(
      skeleton(inner.module.graph),
      """
      base0: input
      arg1: input
      slice = slice.Tensor(base0, 0, 0, 3)
      slice_1 = slice.Tensor(base0, 0, 1, 4)
      mul_ = mul_.Tensor(slice, arg1)
      add = add.Tensor(slice_1, 1)
      return (add)
      """)
    let descriptors = inner.module.graph.placeholders.map { inner.module.graph[metadata: $0].descriptor }
    XCTAssertEqual(descriptors, [.syntheticBase(of: [.input(0), .input(2)]), .input(1)])
    XCTAssertEqual(inner.inputs.count, 2)
  }

  func testTensorsThatAutogradDoesNotConnectShareTheStorage() throws {
    let y = try counting([4])
    let capture = try captured([y, y.detach()[2..<4]]) { arguments in
      try arguments[1].mul_(2)
      return [.reference(try arguments[0] + 1)]
    }
    XCTAssertEqual(
      skeleton(try SyntheticBase.preCompile(capture).0.module.graph),
      """
      base0: input
      as_strided = as_strided(base0, [4], [1], 0)
      as_strided_1 = as_strided(base0, [4], [1], 0)
      slice = slice.Tensor(as_strided_1, 0, 2, 4)
      mul_ = mul_.Tensor(slice, 2)
      add = add.Tensor(as_strided, 1)
      return (add)
      """)
  }
}
