import AOTAutograd
import AOTAutogradTesting
import Operators
import TensorCore
import XCTest

/// `resize_` where the storage has to grow: what is new in it is written before anybody looks.
final class ResizeTests: XCTestCase {
  func testTensorMadeInside() throws {
    try aotcheck(calls: [CheckedCall { [try Tensor([1, 2, 3] as [Float]).requiringGrad()] }]) { inputs in
      let result = try Tensor([Float]())
      try result.resize_([3])
      return [try result.copy_(inputs[0]), try inputs[0] * 2]
    }
    try aotcheck(calls: [CheckedCall { [try Tensor([1, 2] as [Float])] }]) { inputs in
      let value = try inputs[0] + 1
      try value.resize_([2, 2])
      try value.select(0, 1).fill_(7)
      return [value, try value.t()]
    }
  }

  func testResultArgument() throws {
    let atan2 = try OperatorLibrary.named("aten.atan2.out")
    try aotcheck(calls: [CheckedCall { [try Tensor([1, 2] as [Float]), try Tensor([Float]())] }]) { inputs in
      let inside = try Tensor([Float]())
      _ = try atan2(.reference(inputs[0]), .reference(inputs[0]), .reference(inside))
      _ = try atan2(.reference(inside), .reference(inputs[0]), .reference(inputs[1]))
      return [inside, inputs[1]]
    }
  }

  func testArgument() throws {
    try aotcheck(calls: [CheckedCall { [try Tensor([1, 2] as [Float])] }]) { inputs in
      try inputs[0].mul_(2)
      try inputs[0].resize_([4])
      try inputs[0].narrow(0, from: 2, length: 2).fill_(5)
      return [try inputs[0].view([2, 2]), try inputs[0] + 1]
    }
  }

  func testMetadataSaysSo() throws {
    let grown = aotFunction { (x: Tensor) in try x.resize_([3]).fill_(1) }
    let meta = try grown.stages(Tensor([1] as [Float])).meta
    XCTAssertEqual(meta.inputs[0].storageChange, .grown)
    XCTAssertTrue("\(meta)".contains("storage resized"), "\(meta)")
    let part = try Tensor([1, 2, 3, 4] as [Float]).narrow(0, from: 0, length: 1).detach()
    XCTAssertThrowsError(try grown(part)) { XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented) }
  }

  func testSharedMemoryIsRefused() throws {
    let function = aotFunction { (x: Tensor) in
      let value = try x + 1
      let view = try value.view([1, 2])
      try value.resize_([4])
      return view
    }
    XCTAssertThrowsError(try function(Tensor([1, 2] as [Float]))) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented)
    }
  }
}
