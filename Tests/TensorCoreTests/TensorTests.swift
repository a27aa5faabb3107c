import TensorCore
import XCTest

final class TensorTests: XCTestCase {
  func testElementsComeInRowMajorOrderWhateverTheStrides() throws {
    let tensor = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    let transposed = try Tensor(
      storage: tensor.storage, layout: Layout(sizes: [3, 2], strides: [1, 3]), dtype: .float32)
    XCTAssertEqual(try transposed.elements(as: Float.self), [1, 4, 2, 5, 3, 6])
    XCTAssertFalse(transposed.isContiguous)
    XCTAssertTrue(transposed.storage === tensor.storage)
  }

  func testWhatDoesNotFitIsRefused() throws {
    XCTAssertThrowsError(try Tensor([1, 2] as [Float], shape: [3]))
    XCTAssertThrowsError(try Tensor(uninitialized: Layout(contiguous: [-1]), dtype: .int8))
    let storage = try Storage(byteCount: 16)
    let layouts = [
      Layout(contiguous: [5]), Layout(sizes: [2], strides: [-1]), Layout(sizes: [2], strides: [SymInt(.max)]),
      Layout(sizes: [SymInt(1 << 40), SymInt(1 << 40)], strides: [SymInt(1 << 40), 1]),
      Layout(sizes: [2, 2], strides: [SymInt(.max / 2), SymInt(.max / 2)], offset: 5),
    ]
    for layout in layouts {
      XCTAssertThrowsError(try Tensor(storage: storage, layout: layout, dtype: .float32), "\(layout)")
    }
    XCTAssertThrowsError(
      try Tensor(uninitialized: Layout(contiguous: [SymInt(1 << 40), SymInt(1 << 40)]), dtype: .bool))
    XCTAssertThrowsError(try Tensor(fake: Layout(contiguous: [SymInt(1 << 62)]), dtype: .float64))
  }

  func testElementsAreReadAsWhatTheyAreOnly() throws {
    let tensor = try Tensor([1, 2] as [Int32])
    XCTAssertThrowsError(try tensor.elements(as: Float.self))
    XCTAssertThrowsError(try Tensor(fake: Layout(contiguous: [2]), dtype: .float32).elements(as: Float.self))
  }

  func testAdoptedMemoryIsNotCopiedAndIsFreedOnce() throws {
    final class Count: @unchecked Sendable { var value = 0 }
    let freed = Count()
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
    do {
      let storage = Storage(adopting: memory, byteCount: 8) {
        freed.value += 1
        $0.deallocate()
      }
      let tensor = try Tensor(storage: storage, layout: Layout(contiguous: [2]), dtype: .float32)
      memory.storeBytes(of: 7, as: Float.self)
      XCTAssertEqual(try tensor.elements(as: Float.self)[0], 7)
      XCTAssertEqual(tensor.dataAddress, memory)
    }
    XCTAssertEqual(freed.value, 1)
  }

  func testLayoutFacts() {
    let dense = Layout(contiguous: [2, 3, 4])
    XCTAssertEqual(dense.strides, [12, 4, 1])
    XCTAssertTrue(dense.isContiguous && dense.isNonOverlappingAndDense && !dense.mayOverlapItself)
    let expanded = Layout(sizes: [2, 3], strides: [0, 1])
    XCTAssertTrue(expanded.mayOverlapItself)
    XCTAssertFalse(expanded.isNonOverlappingAndDense)
    let permuted = Layout(sizes: [3, 2], strides: [1, 3])
    XCTAssertTrue(permuted.isNonOverlappingAndDense && !permuted.isContiguous)
    XCTAssertEqual(Layout(sizes: [2, 2], strides: [-2, 1], offset: 4).elementRange, 2..<6)
    XCTAssertTrue(Layout(contiguous: [0, 5]).isContiguous)
    var visited: [Int] = []
    permuted.forEachElementIndex { visited.append($0) }
    XCTAssertEqual(visited, [0, 3, 1, 4, 2, 5])
  }

  func testDescriptionShowsElementsByDimension() throws {
    XCTAssertEqual(
      try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]).description, "tensor([[1.0, 2.0], [3.0, 4.0]], float32)")
    XCTAssertEqual(try Tensor([true], shape: []).description, "tensor(true, bool)")
    XCTAssertEqual(
      try Tensor(Array(0..<10), shape: [10]).description, "tensor([0, 1, 2, …, 7, 8, 9], int64)")
    XCTAssertEqual(try Tensor([] as [Double], shape: [0, 2]).description, "tensor([], sizes [0, 2], float64)")
    XCTAssertEqual(
      try Tensor(fake: Layout(contiguous: [2]), dtype: .int8).description, "tensor(fake, sizes [2], int8)")
  }

  func testSymIntDivisionRoundsDown() {
    XCTAssertEqual(SymInt(-7) / 2, -4)
    XCTAssertEqual(SymInt(-7) % 2, 1)
    XCTAssertEqual(SymInt(7) / 2, 3)
    XCTAssertEqual(MemoryLayout<SymInt>.size, MemoryLayout<Int>.size)
  }
}
