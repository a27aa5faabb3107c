import AOTAutograd
import XCTest

/// `set_`: a tensor gets the memory of another.
final class SetStorageTests: XCTestCase {
  func testMemoryMadeInside() throws {
    try assertCompiledAgrees({ [try wave([4])] }) { x in
      try x[0].set_(x[0] * 2)
      return [try x[0] + 1]
    }
    try assertCompiledAgrees({ [try wave([4])] }) { x in
      let fresh = try x[0].exp()
      try x[0].set_(fresh)
      try fresh.add_(1)
      return [try x[0] * 2, fresh]
    }
  }

  func testMemoryOfAnotherArgument() throws {
    try assertCompiledAgrees({ [try wave([4]), try wave([2, 3], from: 1)] }) { x in
      try x[0].set_(x[1].t())
      return [try x[0] * 2]
    }
  }

  func testALeafWithoutRecording() throws {
    try assertCompiledAgrees({ [try wave([4], requiresGrad: true), try wave([4], from: 1)] }) { x in
      _ = try noGrad { try x[0].set_(x[1]) }
      return [try x[0] * x[0]]
    }
  }

  func testOtherTypesAreRefused() throws {
    for body in [{ try $0.set_($0.to(.float64)) }, { try $0.set_(Tensor.zeros([4], dtype: .int64)) }]
      as [(Tensor) throws -> Tensor]
    {
      for function in [body, { try aotFunction(body)($0) }] {
        let x = try wave([4])
        XCTAssertThrowsError(try function(x)) { XCTAssertTrue("\($0)".contains("set_"), "\($0)") }
        XCTAssertEqual(x.dtype, .float32)
        XCTAssertEqual(CallRecord.values(x), CallRecord.values(try wave([4])))
      }
    }
  }
}
