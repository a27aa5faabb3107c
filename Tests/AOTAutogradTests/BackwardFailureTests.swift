import AOTAutograd
import XCTest

/// Backward passes through compiled functions that eager ones refuse, are refused; others are not.
final class BackwardFailureTests: XCTestCase {
  /// What is saved for the first result is overwritten by the function itself; the second is not concerned.
  private let body: (Tensor) throws -> (Tensor, Tensor) = { x in
    let y = try x * 2
    let first = try y.square()
    let second = try x.sin()
    try y.add_(1)
    return (first, second)
  }

  private func outcome(_ function: (Tensor) throws -> (Tensor, Tensor), _ index: Int) throws -> AutogradError.Code? {
    let x = try wave([3], requiresGrad: true)
    let (first, second) = try function(x)
    do { try [first, second][index].sum().backward() } catch let error as AutogradError { return error.code }
    XCTAssertNotNil(x.grad)
    return nil
  }

  func testWhatIsOverwrittenInsideConcernsItsResultOnly() throws {
    XCTAssertEqual(try outcome(body, 0), .modifiedInPlace)
    XCTAssertNil(try outcome(body, 1))
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      XCTAssertEqual(try outcome({ try function($0) }, 0), .modifiedInPlace, name)
      XCTAssertNil(try outcome({ try function($0) }, 1), name)
    }
  }

  func testArgumentsThatAreWrittenToAfterTheyWereSaved() throws {
    let body = { (x: Tensor, buffer: Tensor) in
      let product = try x * buffer
      try buffer.add_(1)
      return product
    }
    func run(_ function: (Tensor, Tensor) throws -> Tensor) throws -> AutogradError.Code? {
      let x = try wave([3], requiresGrad: true)
      do { try function(x, wave([3])).sum().backward() } catch let error as AutogradError { return error.code }
      return nil
    }
    XCTAssertEqual(try run(body), .modifiedInPlace)
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      XCTAssertEqual(try run { try function($0, $1) }, .modifiedInPlace, name)
    }
  }

  // MARK: Leaves made inside

  func testAComputedTensorThatIsAskedForGradients() throws {
    try assertCompiledAgrees({ [try wave([4]), try wave([4], requiresGrad: true)] }) { x in
      let y = try x[0] * 2
      try y.setRequiresGrad(true)
      return [try y * x[1], y]
    }
    try assertCompiledAgrees({ [try wave([4]), try wave([4], requiresGrad: true)] }) { x in
      let view = try (x[0] * 2)[0..<2]
      try view.setRequiresGrad(true)
      return [view, try x[1].sin()]
    }
  }
}
