import CPUBackend
import Foundation
import LoopIR
import Synchronization
import TensorCore

/// How far the float32 kernels of elementary functions are from the C library's float64 functions.
enum AccuracyBenchmark {
  /// What was found for one function. Errors are in units in the last place of the exact result as a float32 number; infinite
  /// where NaN, an infinity or the sign of a zero is wrong.
  struct Finding: Sendable {
    var count = 0
    var largestError = 0.0
    /// Where the largest error occurs.
    var operands: (Float, Float) = (0, 0)
    var countOverOne = 0

    mutating func add(_ result: Float, of operands: (Float, Float), exact: Double) {
      count += 1
      let error = Self.error(result, exact)
      if error > 1 { countOverOne += 1 }
      if error > largestError { (largestError, self.operands) = (error, operands) }
    }

    func merging(_ other: Finding) -> Finding {
      var result = other.largestError > largestError ? other : self
      result.count = count + other.count
      result.countOverOne = countOverOne + other.countOverOne
      return result
    }

    private static func error(_ result: Float, _ exact: Double) -> Double {
      let rounded = Float(exact)
      if rounded.isNaN || result.isNaN { return rounded.isNaN && result.isNaN ? 0 : .infinity }
      if rounded == 0, result == 0 { return rounded.sign == result.sign ? 0 : .infinity }
      // Infinity stands where the number after the largest would be.
      func place(_ value: Double) -> Double { max(-0x1p128, min(value, 0x1p128)) }
      let unit = min(rounded.magnitude, .greatestFiniteMagnitude).ulp
      return abs(place(Double(result)) - place(exact)) / Double(unit)
    }
  }

  private static let blockSize = 1 << 14

  /// Runs a function's kernel on every `stride`-th of its 2³² operands, on all cores.
  static func measure(_ subject: AccuracySubject, stride: Int) throws -> Finding {
    let executable = try CPUBackend.shared.compile(program(subject))
    let total = ((1 << 32) + stride - 1) / stride
    let outcome = Mutex(Result<Finding, any Error>.success(Finding()))
    DispatchQueue.concurrentPerform(iterations: (total + blockSize - 1) / blockSize) { block in
      let indices = block * blockSize..<min((block + 1) * blockSize, total)
      let operands = indices.map { subject.operands(UInt32($0 * stride)) }
      let part = Result { try measure(subject, executable, operands) }
      outcome.withLock { outcome in
        outcome = outcome.flatMap { sum in part.map { sum.merging($0) } }
      }
    }
    return try outcome.withLock { $0 }.get()
  }

  /// Runs a function's kernel on some operands, at most 2¹⁴.
  static func measure(_ subject: AccuracySubject, operands: [(Float, Float)]) throws -> Finding {
    try measure(subject, CPUBackend.shared.compile(program(subject)), operands)
  }

  private static func program(_ subject: AccuracySubject) -> LoopProgram {
    var builder = LoopBuilder()
    func external() -> LoopIR.Operand {
      LoopIR.Operand(
        buffer: builder.external(.float32, elementCount: blockSize), dtype: .float32, sizes: [blockSize], strides: [1])
    }
    let operands = (0..<subject.operandCount).map { _ in external() }
    builder.pointwise(operands, to: external(), subject.expression)
    return builder.program
  }

  private static func measure(
    _ subject: AccuracySubject, _ executable: any LoopExecutable, _ operands: [(Float, Float)]
  ) throws -> Finding {
    let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: 3 * blockSize)
    defer { memory.deallocate() }
    memory.initialize(repeating: 1)
    for (position, (first, second)) in operands.enumerated() {
      (memory[position], memory[blockSize + position]) = (first, second)
    }
    let places = Array(0..<subject.operandCount) + [2]
    let addresses = places.map { place in memory.baseAddress.map { UnsafeMutableRawPointer($0 + place * blockSize) } }
    try addresses.withUnsafeBufferPointer { try executable.run($0) }
    var finding = Finding()
    for (position, operands) in operands.enumerated() {
      let exact = subject.exact(Double(operands.0), Double(operands.1))
      finding.add(memory[2 * blockSize + position], of: operands, exact: exact)
    }
    return finding
  }
}
