import AOTAutograd
import XCTest

@testable import ModelFormats

final class DecisionTests: XCTestCase {
  private func decisions(_ text: String) throws -> Decisions {
    Decisions(GraphModule(try Graph(parsing: text, operators: ImportedModel.operators)))
  }

  func testPlacesAndNumbersAreFoundBeforeACall() throws {
    let found = try decisions(
      """
      graph(x: f32[4], n: i64[]) {
        mask: bool[4] = aten.gt.Scalar(x, 0)
        places = aten.nonzero.default(mask)
        picked = aten.index.Tensor(x, [mask])
        item = aten.item.default(n)
        return (places, picked, item)
      }
      """)
    XCTAssertEqual(found.nodes.count, 3)
    let values = try found.find([
      .reference(try Tensor([1, -1, 2, 0] as [Float])), .reference(try Tensor([7], shape: [])),
    ])
    XCTAssertEqual(try values[0].reference?.elements(as: Int.self), [0, 2])
    XCTAssertEqual(try values[1].elements?.first?.reference?.elements(as: Int.self), [0, 2])
    XCTAssertEqual(values[2].scalar, .int(7))
  }

  /// Its result from before the call would have no gradient.
  func testWhatGradientsFlowThroughIsNoDecision() throws {
    let found = try decisions(
      """
      graph(x: f32[4]) {
        mask: bool[4] = aten.gt.Scalar(x, 0)
        picked = aten.masked_select.default(x, mask)
        return picked
      }
      """)
    XCTAssertEqual(found.nodes, [])
  }

  func testNothingIsWrittenOrDrawnTwice() throws {
    for line in ["y = aten.add_.Tensor(x, 1)", "y = aten.rand_like.default(x)"] {
      let found = try decisions("graph(x: f32[]) {\n\(line)\nitem = aten.item.default(y)\nreturn item\n}")
      XCTAssertEqual(found.nodes, [], line)
    }
  }
}
