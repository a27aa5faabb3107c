import LoopIR
import TensorCore
import XCTest

final class ValidationTests: XCTestCase {
  private func message(_ program: LoopProgram) -> String? {
    do {
      try program.validate()
      return nil
    } catch {
      XCTAssertEqual(error.code, .invalidProgram)
      return error.message
    }
  }

  private func program(_ change: (inout LoopKernel) -> Void) -> LoopProgram {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4, 5])
    let y = dense(&builder, .float32, [4, 5])
    builder.pointwise([x], to: y) { exp($0[0]) }
    var program = builder.program
    if case .loop(var kernel) = program.kernels[0] {
      change(&kernel)
      program.kernels[0] = .loop(kernel)
    }
    return program
  }

  func testGoodProgramPasses() {
    XCTAssertNil(message(program { _ in }))
  }

  func testFaultsAreNamed() {
    XCTAssertEqual(message(program { $0.loads[0].offset = 1 })?.contains("outside its memory"), true)
    XCTAssertEqual(message(program { $0.loads[0].strides = [1] })?.contains("strides"), true)
    XCTAssertEqual(message(program { $0.stores[0].access.buffer = BufferID(9) })?.contains("does not exist"), true)
    XCTAssertEqual(message(program { $0.stores[0].value = .load(3) })?.contains("not defined"), true)
    XCTAssertEqual(message(program { $0.stores[0].value = .reduced(0) })?.contains("not defined"), true)
    XCTAssertEqual(message(program { $0.locals = [.local(0)] })?.contains("not defined"), true)
  }

  func testTemporaryReadBeforeItIsWritten() {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4])
    builder.copy(builder.temporary(.float32, [4]), to: x)
    XCTAssertEqual(message(builder.program)?.contains("before anything writes it"), true)
  }

  func testTemporaryChangedBeforeItIsWritten() {
    for mode in LoopKernel.Store.Mode.allCases {
      var builder = LoopBuilder()
      builder.pointwise([dense(&builder, .float32, [4])], to: builder.temporary(.float32, [4]), mode: mode) { $0[0] }
      XCTAssertEqual(message(builder.program)?.contains("before anything writes it"), mode == .assign ? nil : true)
    }
  }

  func testMatrixSizesMustFit() {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4, 5])
    builder.matmul(x, x, to: x)
    XCTAssertEqual(message(builder.program)?.contains("sizes do not fit"), true)
  }

  func testPrintedProgram() {
    XCTAssertEqual(
      "\(program { _ in })",
      """
      b0: f32[20] external 0
      b1: f32[20] external 1
      k0: for [4, 5] {
        x0 = b0.f32<strides [5, 1]>
        b1.f32<strides [5, 1]> = f32(exp(x0))
      }
      """)
  }
}
