import CPUBackend
import LoopIR
import TensorCore
import XCTest

/// Runs a program on the CPU.
func execute(_ program: LoopProgram, _ externals: [Memory]) throws {
  let executable = try CPUBackend.shared.compile(program)
  try execute(executable, externals)
}

func execute(_ executable: any LoopExecutable, _ externals: [Memory]) throws {
  try externals.map { Optional($0.base) }.withUnsafeBufferPointer { try executable.run($0) }
}

/// Checks that the CPU and the reference leave the same numbers in every external.
func assertMatchesReference(
  _ program: LoopProgram, _ externals: [Memory], tolerance: Double? = nil, _ message: String = "",
  file: StaticString = #filePath, line: UInt = #line
) throws {
  try program.validate()
  let expected = externals.map { $0.copy() }
  Reference.run(program, externals: expected)
  let got = externals.map { $0.copy() }
  try execute(program, got)
  compare(got, expected, tolerance: tolerance, message + "\n\(program)", file: file, line: line)
}

func compare(
  _ got: [Memory], _ expected: [Memory], tolerance: Double? = nil, _ message: @autoclosure () -> String,
  file: StaticString = #filePath, line: UInt = #line
) {
  for (number, (a, b)) in zip(got, expected).enumerated() {
    for i in 0..<a.count where !agree(a[i].asDouble, b[i].asDouble, tolerance: tolerance ?? a.dtype.tolerance) {
      XCTFail(
        "external \(number)[\(i)]: got \(a[i].asDouble), expected \(b[i].asDouble) \(message())", file: file, line: line
      )
      return
    }
  }
}

/// A small deterministic generator.
struct Random: RandomNumberGenerator {
  private var counter: UInt64 = 0
  private let philox: Philox

  init(_ seed: UInt64) { philox = Philox(key: seed) }

  mutating func next() -> UInt64 {
    counter += 1
    let block = philox.block(counter)
    return UInt64(block[0]) << 32 | UInt64(block[1])
  }

  /// Numbers that suit a dtype: small integers, reals of both signs.
  mutating func values(_ dtype: DType, _ count: Int) -> [Double] {
    (0..<count).map { _ in
      switch dtype {
      case .bool: Double(Int.random(in: 0...1, using: &self))
      case .uint8: Double(Int.random(in: 0...255, using: &self))
      case .int8: Double(Int.random(in: -128...127, using: &self))
      case .int16, .int32, .int64: Double(Int.random(in: -300...300, using: &self))
      default: Double.random(in: -3...3, using: &self)
      }
    }
  }

  mutating func memory(_ dtype: DType, _ count: Int) -> Memory { Memory(dtype, values(dtype, count)) }
}
