import AOTAutograd
import AOTAutogradTesting
import XCTest

/// A quantized weight stands wherever the weight did that it was made of.
final class QuantizedInt8Tests: XCTestCase {
  private func assertClose(
    _ got: Tensor, _ wanted: Tensor, within bound: Double = 1e-6, file: StaticString = #filePath, line: UInt = #line
  ) throws {
    XCTAssertEqual(got.shape, wanted.shape, file: file, line: line)
    for (a, b) in zip(CallRecord.values(got), CallRecord.values(wanted)) {
      XCTAssertEqual(a, b, accuracy: bound, file: file, line: line)
    }
  }

  func testValuesAreWithinHalfAStep() throws {
    for axis in [0, 1, -1] {
      let w = try wave([5, 7])
      let quantized = try w.quantizedInt8(axis: axis)
      let parts = try XCTUnwrap(quantized.unwrapped(as: QuantizedInt8.self))
      XCTAssertEqual(parts.scale.shape, axis == 0 ? [5, 1] : [1, 7])
      XCTAssertEqual(quantized.dtype, .float32)
      let steps = try CallRecord.values((quantized.dequantized() - w).abs() / parts.scale)
      XCTAssertLessThanOrEqual(try XCTUnwrap(steps.max()), 0.5 + 1e-4)
      let peaks = try parts.data.abs().amax([axis == 0 ? 1 : 0])
      XCTAssertEqual(CallRecord.values(peaks), Array(repeating: 127, count: peaks.elementCount))
    }
    try assertClose(Tensor.zeros([2, 2]).quantizedInt8(axis: 0).dequantized(), Tensor.zeros([2, 2]))
    try assertClose(wave([3]).quantizedInt8(axis: 0).dequantized(), wave([3]))
    XCTAssertEqual(try wave([2, 2]).to(.bfloat16).quantizedInt8(axis: 0).dtype, .bfloat16)
  }

  func testOperatorsTakeItAsItsValues() throws {
    let quantized = try wave([3, 4]).quantizedInt8(axis: 0)
    let values = try quantized.dequantized()
    let (x, bias) = (try wave([2, 4]), try wave([3]))
    try assertClose(x.linear(quantized, bias: bias), x.linear(values, bias: bias))
    try assertClose(x.matmul(quantized.t()), x.matmul(values.t()))
    try assertClose(wave([2, 5, 4]).linear(quantized), wave([2, 5, 4]).linear(values))
    try assertClose(wave([4]).linear(quantized), wave([4]).linear(values))
    try assertClose(quantized.transpose(0, 1).permute([1, 0]).dequantized(), values)
    try assertClose(quantized.clone().detach() * 2, values * 2)
    try assertClose(Tensor.zeros([3, 4]).copy_(quantized), values)
    XCTAssertTrue(try quantized.t().storage === quantized.storage)
    XCTAssertNotNil(try quantized.t().unwrapped(as: QuantizedInt8.self))
  }

  func testRefusals() throws {
    let quantized = try wave([3, 4]).quantizedInt8(axis: 0)
    for call in [{ try quantized.mul_(2) }, { try quantized.view([12]) }, { try quantized[0] }] {
      XCTAssertThrowsError(try call()) { XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented) }
    }
    XCTAssertThrowsError(try wave([3]).quantizedInt8(axis: 1))
    XCTAssertThrowsError(try wave([3]).to(.int64).quantizedInt8(axis: 0))
    XCTAssertThrowsError(try QuantizedInt8(data: wave([3, 4]), scale: wave([3, 1])))
    let quantizing = aotFunction { (w: Tensor) in try w.quantizedInt8(axis: 0) * 2 }
    XCTAssertThrowsError(try quantizing(wave([2, 2]))) { XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented) }
  }

  func testFrozenWeightOfACompiledLayer() throws {
    let weight = try wave([3, 4]).quantizedInt8(axis: 0)
    try assertCompiledAgrees({ [try wave([2, 4], requiresGrad: true), try wave([3], requiresGrad: true)] }) { x in
      [try x[0].linear(weight, bias: x[1]).relu()]
    }
    try assertCompiledAgrees({ [try wave([2, 4]), try wave([3, 4]).quantizedInt8(axis: 0)] }) { x in
      [try x[0].linear(x[1]), try x[1].t()]
    }
    let layer = aotFunction { (x: Tensor) in try x.linear(weight).relu() }
    let stages = try layer.stages(wave([2, 4], requiresGrad: true))
    XCTAssertEqual(
      stages.forward.placeholders.map { stages.forward[metadata: $0].tensor?.dtype }, [.float32, .int8, .float32])
    // The values are made anew where they are needed: only the mask of relu is kept.
    XCTAssertLessThanOrEqual(stages.savedByteCount, 2 * 3 * 4)
    let names = try XCTUnwrap(stages.backward).placeholders.map { stages.backward?[$0].name }
    XCTAssertTrue(names.contains("primals_2_data"), "\(names)")
  }

  func testGradientOfTheWeightIsAnOrdinaryTensor() throws {
    try assertCompiledAgrees({
      [try wave([2, 4], requiresGrad: true), try wave([3, 4]).quantizedInt8(axis: 0).requiringGrad()]
    }) { x in [try x[0].linear(x[1]).tanh()] }
  }

  func testInsideAPair() throws {
    try assertCompiledAgrees({
      let pair = try TwoTensor(wave([3, 4]).quantizedInt8(axis: 0), wave([3, 4], from: 1).quantizedInt8(axis: 0))
      return [try wave([2, 4], requiresGrad: true), try Tensor(wrapping: pair)]
    }) { x in [try x[0].linear(x[1])] }
  }
}
