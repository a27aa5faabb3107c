import Foundation
import GraphIR
import LoopIR
import TensorCore

/// A kind of random numbers.
///
/// Every draw takes a range of counters, half as many as it has elements: of the generator in use or, in a functional graph, at
/// its place among those that the graph is given. Element i in row-major order is made of two words of the Philox block at the
/// (i / 2)th counter of the range: the first two where i is even, else the last two. So the numbers are the same however the
/// elements are spread over threads or lie in memory.
enum RandomDraw: Sendable {
  /// In 0..<1, multiples of the last place that the dtype has below 1, so that rounding never gives 1.
  case uniform(bits: DType)
  case normal
  case integer(low: Int, high: Int)
  case permutation

  func check(_ call: OperatorCall, dtype: DType) throws {
    switch self {
    case .uniform, .normal:
      guard dtype.isFloatingPoint else {
        throw OperatorError(.dtype, call.target.name, "draws floating-point numbers, not \(dtype)")
      }
    case .integer(let low, let high):
      guard low < high, dtype.holds(Double(low)), dtype.holds(Double(high - 1)) else {
        throw OperatorError(.argument, call.target.name, "needs low < high within \(dtype), got \(low)..<\(high)")
      }
    case .permutation: break
    }
  }

  /// The number of counters that a draw of so many numbers takes.
  static func blockCount(_ count: Int) -> Int { (count + 1) / 2 }

  /// Appends a kernel that draws a dense tensor of these sizes for a call; float64 or int64.
  func lower(_ sizes: [Int], for call: LoweringCall, _ builder: inout LoopBuilder) throws -> Operand {
    let output: Operand
    let count = sizes.reduce(1, *)
    switch self {
    case .uniform, .normal: output = builder.temporary(.float64, sizes)
    case .integer, .permutation: output = builder.temporary(.int64, sizes)
    }
    let kernel: HostKernel
    switch try call.randomSource {
    case .generator:
      kernel = HostKernel(name: "random", inputs: [], outputs: [output]) { _, outputs in draw(into: outputs[0], count) }
    case .stream(let key, let counter, let offset):
      kernel = HostKernel(name: "random", inputs: [key, counter], outputs: [output]) { inputs, outputs in
        func number(_ operand: Operand, _ memory: UnsafeMutableRawPointer) -> UInt64 {
          memory.load(fromByteOffset: operand.offset * operand.dtype.byteCount, as: UInt64.self)
        }
        let start = number(counter, inputs[1]) &+ UInt64(offset)
        draw(into: outputs[0], count, Philox(key: number(key, inputs[0])), from: start)
      }
    }
    builder.append(.host(kernel))
    return output
  }

  /// Uniform numbers in 0..<1.
  static func uniforms(_ count: Int) -> [Double] {
    Array(unsafeUninitializedCapacity: count) { buffer, initializedCount in
      if let address = buffer.baseAddress { uniform(bits: .float64).draw(into: address, count) }
      initializedCount = count
    }
  }

  /// Writes the next `count` numbers of the generator in use.
  private func draw(into memory: UnsafeMutableRawPointer, _ count: Int) {
    let (philox, start) = Generator.inUse.take(blocks: Self.blockCount(count))
    draw(into: memory, count, philox, from: start)
  }

  private func draw(into memory: UnsafeMutableRawPointer, _ count: Int, _ philox: Philox, from start: UInt64) {
    fill(memory, count) { index in
      let block = philox.block(start &+ UInt64(index / 2))
      return index % 2 == 0 ? (block[0], block[1]) : (block[2], block[3])
    }
  }

  /// Writes `count` numbers, each made of two random words.
  private func fill(_ memory: UnsafeMutableRawPointer, _ count: Int, _ words: (Int) -> (UInt32, UInt32)) {
    switch self {
    case .uniform(let dtype):
      let places = dtype.significandBits
      let scale = 1 / Double(1 << places)
      let output = memory.assumingMemoryBound(to: Double.self)
      for index in 0..<count {
        let (high, low) = words(index)
        output[index] = Double((UInt64(high) << 32 | UInt64(low)) >> UInt64(64 - places)) * scale
      }
    case .normal:
      let output = memory.assumingMemoryBound(to: Double.self)
      for index in 0..<count {
        // Box and Muller's transform; the first number is never 0.
        let (a, b) = words(index)
        let radius = (-2 * Foundation.log((Double(a) + 0.5) / 0x1p32)).squareRoot()
        output[index] = radius * Foundation.cos(2 * .pi * Double(b) / 0x1p32)
      }
    case .integer(let low, let high):
      let width = UInt64(bitPattern: Int64(high &- low))
      let output = memory.assumingMemoryBound(to: Int.self)
      for index in 0..<count {
        let (a, b) = words(index)
        output[index] =
          low &+ Int(truncatingIfNeeded: (UInt64(a) << 32 | UInt64(b)).multipliedFullWidth(by: width).high)
      }
    case .permutation:
      let output = memory.assumingMemoryBound(to: Int.self)
      for index in 0..<count { output[index] = index }
      for index in stride(from: count - 1, to: 0, by: -1) {
        let (a, b) = words(index)
        let other = Int((UInt64(a) << 32 | UInt64(b)).multipliedFullWidth(by: UInt64(index + 1)).high)
        (output[index], output[other]) = (output[other], output[index])
      }
    }
  }
}

extension DType {
  /// Whether a number is within the type's range.
  func holds(_ value: Double) -> Bool {
    switch self {
    case .bool: (0...1).contains(value)
    case .uint8: (0...255).contains(value)
    case .int8: Int8(exactly: value.rounded(.towardZero)) != nil
    case .int16: Int16(exactly: value.rounded(.towardZero)) != nil
    case .int32: Int32(exactly: value.rounded(.towardZero)) != nil
    case .int64: abs(value) <= 0x1p63
    case .float16: abs(value) <= 65504
    case .bfloat16: abs(value) <= 0x1.FEp127
    case .float32: abs(value) <= Double(Float.greatestFiniteMagnitude)
    case .float64: value.isFinite
    }
  }

  /// Bits of a number that count.
  var significandBits: Int {
    switch self {
    case .float16: 11
    case .bfloat16: 8
    case .float32: 24
    default: 53
    }
  }
}
