import AOTAutograd
import XCTest

/// Compiled calls of the operators that are more than one loop agree with eager ones, forward and backward.
final class CompiledFamiliesTests: XCTestCase {
  private func leaf(_ shape: [Int], _ step: Float = 0.37) throws -> Tensor {
    let tensor = try Tensor(
      (0..<shape.reduce(1, *)).map { (Float($0) * step).truncatingRemainder(dividingBy: 1.9) - 0.9 }, shape: shape)
    try tensor.setRequiresGrad(true)
    return tensor
  }

  private func check(
    _ shapes: [[Int]], line: UInt = #line, _ body: @escaping (Tensor, Tensor) throws -> Tensor
  ) throws {
    let function = aotFunction { (x: Tensor, w: Tensor) in try body(x, w) }
    let (x, w) = (try leaf(shapes[0]), try leaf(shapes[1], 0.53))
    let (eagerX, eagerW) = (try leaf(shapes[0]), try leaf(shapes[1], 0.53))
    let (result, eager) = (try function(x, w), try body(eagerX, eagerW))
    try result.backward()
    try eager.backward()
    for (got, want) in [(result, eager), (x.grad, eagerX.grad), (w.grad, eagerW.grad)] {
      let (got, want) = (try XCTUnwrap(got, line: line), try XCTUnwrap(want, line: line))
      XCTAssertEqual(got.shape, want.shape, line: line)
      for (a, b) in zip(try got.elements(as: Float.self), try want.elements(as: Float.self)) {
        XCTAssertEqual(a, b, accuracy: 1e-4, line: line)
      }
    }
  }

  func testConvolutionAndPooling() throws {
    try check([[2, 2, 6, 6], [4, 2, 3, 3]]) { x, w in
      try x.conv2d(w, padding: 1).tanh().maxPool2d(2).flatten(from: 1).sum([1]).tanh().sum()
    }
    try check([[2, 2, 7, 5], [2, 2, 3, 2]]) { x, w in
      try x.conv2d(w, stride: 2).avgPool2d(2, stride: 1).adaptiveAvgPool2d(1, 1).tanh().sum()
    }
  }

  func testAttention() throws {
    try check([[2, 3, 4], [4, 12]]) { x, w in
      let parts = try x.matmul(w).split(4, dimension: 2).map { try $0.view([2, 3, 2, 2]).transpose(1, 2) }
      let heads = try parts[0].scaledDotProductAttention(parts[1], parts[2], isCausal: true)
      return try heads.transpose(1, 2).reshape([2, 3, 4]).tanh().sum()
    }
  }

  func testIndexing() throws {
    let indices = try Tensor([2, 0, 2, 1], shape: [2, 2])
    let places = try Tensor([1, 3, 0, 0], shape: [2, 2, 1])
    try check([[3, 4], [2, 2]]) { table, w in
      try w.matmul(table.embedding(indices)).gather(2, places).tanh().sum()
    }
  }

  func testAdvancedIndexing() throws {
    let rows = try Tensor([0, 2])
    try check([[3, 4], [2, 4]]) { x, w in
      try (x.index([rows]) * w).tanh().sum()
    }
  }

  func testScatters() throws {
    let places = try Tensor([0, 2, 2, 1, 1, 1], shape: [2, 3])
    for reduce in ["sum", "prod", "mean", "amax", "amin"] {
      try check([[2, 3], [2, 3]]) { x, w in
        try x.tanh().scatterReduce(1, places, (x * w).tanh(), reduce: reduce, includeSelf: false).sum()
      }
    }
    try check([[2, 3], [2, 3]]) { x, w in
      let wide = try (x + w).maskedScatter(places.eq(2), w * w)
      return try (wide.put(Tensor([0, -1]), w.diag()) * wide.take(places)).tanh().sum()
    }
  }

  func testMemoryAsAnotherDType() throws {
    let body = { (x: Tensor) in
      let copy = try x.clone()
      try copy.select(0, 1).view(.int32).fill_(0x4000_0000)
      return try copy.view(.float64).view(.int16).to(.float32)
    }
    let x = try Tensor((0..<12).map { Float($0) }, shape: [3, 4])
    XCTAssertEqual(try aotFunction(body)(x).elements(as: Float.self), try body(x).elements(as: Float.self))
    let view = try aotFunction { (x: Tensor) in try x.slice(0, from: 1).view(.int32) }(x)
    XCTAssert(view.storage === x.storage)
    XCTAssertEqual(view.dtype, .int32)
  }

  func testCopiesOfViews() throws {
    try check([[4, 3], [4, 3]]) { x, w in
      let part = try (x * w).tanh()
      let columns = try OperatorLibrary.unbind.copying.several(.reference(part.t()), .int(0))
      let windows = try OperatorLibrary.unfold.copying(.reference(part.slice(0, from: 1)), .int(0), .int(2), .int(1))
      return try (Tensor.stack(columns, dimension: 1).sum() + windows.rot90(1).tanh().sum()).sum()
    }
  }

  func testJoining() throws {
    try check([[3, 4], [2, 4]]) { x, w in
      try Tensor.cat([x.slice(0, from: 1).flip([0]) * w, w], dimension: 1).roll([1], [0]).tanh().sum()
    }
  }
}
