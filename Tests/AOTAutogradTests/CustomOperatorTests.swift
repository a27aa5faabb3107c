import AOTAutograd
import AOTAutogradTesting
import XCTest

/// A user's own operators, eagerly and compiled, and definitions that lie.
final class CustomOperatorTests: XCTestCase {
  private func leaf(_ values: [Double], _ shape: [Int]? = nil) throws -> Tensor {
    try Tensor(values, shape: shape ?? [values.count]).requiringGrad()
  }

  func testOperatorsDoWhatTheySay() throws {
    let x = try leaf([0.5, -1, 2, 0.25, 3, -0.75], [2, 3])
    try opcheck(CustomOperators.scale, .reference(x), .double(2))
    try opcheck(CustomOperators.scale, .reference(Tensor([] as [Float], shape: [0])), .double(2))
    try opcheck(CustomOperators.bent, .reference(x))
    try opcheck(CustomOperators.bent.inPlace, .reference(x))
    try opcheck(CustomOperators.evens, .reference(leaf([1, 2, 3, 4, 5])))
    try opcheck(
      CustomOperators.observe, .reference(Tensor([1.0, 2])), .reference(Tensor([4.0, 8])), .reference(Tensor([0.5, 3])))
  }

  func testOperatorsOfTheLibraryDoWhatTheySay() throws {
    let (x, w) = (try leaf([1, -2, 3, 4, 0.5, 6], [2, 3]), try leaf([0.1, 0.2, -0.3, 0.4, 0.5, 0.6], [3, 2]))
    try opcheck(OperatorLibrary.mm, .reference(x), .reference(w))
    try opcheck(OperatorLibrary.tanh.inPlace, .reference(x))
    try opcheck(OperatorLibrary.t, .reference(x))
    try opcheck(OperatorLibrary.softmaxForward, .reference(x), .int(1), .bool(false))
  }

  func testWritesToSeveralArguments() throws {
    func run(_ step: (Tensor, Tensor, Tensor) throws -> Tensor) throws -> [[Float]] {
      let memory = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
      let count = try Tensor([0, 0, 0] as [Float])
      let mean = try step(memory.select(0, 1), count, Tensor([10, 20, 30] as [Float]))
      return try [memory, count, mean].map { try $0.elements(as: Float.self) }
    }
    func step(_ sum: Tensor, _ count: Tensor, _ value: Tensor) throws -> Tensor {
      _ = try CustomOperators.observe(.reference(sum), .reference(count), .reference(value))
      return try CustomOperators.observe(.reference(sum), .reference(count), .reference(value)) + 1
    }
    let eager = try run(step)
    XCTAssertEqual(eager, [[1, 2, 3, 24, 45, 66], [2, 2, 2], [13, 23.5, 34]])
    let compiled = aotFunction { (sum: Tensor, count: Tensor, value: Tensor) in try step(sum, count, value) }
    XCTAssertEqual(try run { try compiled($0, $1, $2) }, eager)
  }

  func testWritesThroughACustomView() throws {
    func step(_ x: Tensor) throws -> Tensor {
      let y = try x * 2
      try CustomOperators.evens(.reference(y)).add_(10)
      return try y.sum()
    }
    let (eager, compiled) = (try leaf([1, 2, 3]), try leaf([1, 2, 3]))
    let function = aotFunction { (x: Tensor) in try step(x) }
    let (a, b) = (try step(eager), try function(compiled))
    XCTAssertEqual(try a.elements(as: Double.self), [32])
    XCTAssertEqual(try b.elements(as: Double.self), [32])
    try a.backward()
    try b.backward()
    XCTAssertEqual(try eager.grad?.elements(as: Double.self), [2, 2, 2])
    XCTAssertEqual(try compiled.grad?.elements(as: Double.self), [2, 2, 2])
  }

  func testRefusesWhatItCannotDo() throws {
    let x = try Tensor([1, 2] as [Float])
    let overlapping = try Tensor([1] as [Float]).expand([2])
    XCTAssertThrowsError(
      try CustomOperators.observe(.reference(overlapping), .reference(x.clone()), .reference(x)))
    let wanting = try x.clone().requiringGrad()
    XCTAssertThrowsError(try CustomOperators.observe(.reference(x), .reference(x.clone()), .reference(wanting)))
    // Both names for one memory: a copy of each would hide a write from the other.
    let shared = aotFunction { (x: Tensor) in
      let y = try x * 1
      return try CustomOperators.observe(.reference(y), .reference(y.view([2])), .reference(x))
    }
    XCTAssertThrowsError(try shared(x))
    XCTAssertThrowsError(try OperatorLibrary.table(including: [CustomOperators.scale, CustomOperators.scale]))
  }

  // MARK: - Definitions that lie

  private func assertCaught(
    _ check: OperatorCheck, _ target: OperatorDefinition, _ arguments: [Value], line: UInt = #line
  ) throws {
    let sample = OperatorCheck.allCases
    XCTAssertThrowsError(
      try opcheck(target, arguments[0], checks: sample), "nothing was found", line: line
    ) { error in
      XCTAssertEqual((error as? OperatorCheckError)?.check, check, "\(error)", line: line)
    }
  }

  private static func lying(
    _ schema: String = "lies::op(Tensor self) -> Tensor", sizes: [SymInt]? = nil,
    _ body: @escaping @Sendable (Tensor, Tensor) throws -> Void
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .host(
        shape: { call in
          [TensorMeta(dtype: try call.tensor(0).dtype, sizes: try sizes ?? call.tensor(0).sizes)]
        },
        body: { call, results in try body(call.tensor(0), results[0]) }))
  }

  func testOpcheckCatchesLies() throws {
    let x = Value.reference(try leaf([1, 2, 3]))
    try assertCaught(
      .schema,
      Self.lying { input, result in
        try input.add_(1)
        try result.copy_(input)
      }, [x])
    try assertCaught(
      .schema, OperatorDefinition("lies::same(Tensor self) -> Tensor", .composite { call in call.arguments[0] }), [x])
    try assertCaught(
      .schema,
      OperatorDefinition("lies::view(Tensor self) -> Tensor", .view { [try $0.tensor(0).layout] }), [x])
    try assertCaught(
      .schema,
      OperatorDefinition(
        "lies::unwritten(Tensor(a!) self) -> Tensor(a!)", .composite { call in .reference(try call.tensor(0).clone()) }),
      [x])
    nonisolated(unsafe) var calls = 0.0
    try assertCaught(
      .determinism,
      Self.lying { input, result in
        calls += 1
        try result.copy_(input * calls)
      }, [x])
    let shapes = OperatorDefinition(
      "lies::shape(Tensor self) -> Tensor",
      .composite { call in
        let input = try call.tensor(0)
        return .reference(input.isFake ? try input.unsqueeze(0).clone() : try input.clone())
      })
    try assertCaught(.shapeRule, shapes, [x])
    try assertCaught(
      .layouts,
      Self.lying { input, result in
        guard let from = input.dataAddress, let to = result.dataAddress else { return }
        to.copyMemory(from: from, byteCount: result.elementCount * result.dtype.byteCount)
      }, [x])
    try assertCaught(.gradients, Self.lying { try $1.copy_($0) }, [x])
    try assertCaught(.gradients, Self.lying { try $1.copy_($0 * 3) }.derivative { $0.gradient }, [x])
    let captured = OperatorDefinition(
      "lies::captured(Tensor self) -> Tensor",
      .composite { call in
        .reference(try DispatchContext.current.mode == nil ? call.tensor(0) * 2 : call.tensor(0) * 3)
      })
    try assertCaught(.compiled, captured, [x])
  }
}
