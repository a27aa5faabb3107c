import GraphIR
import TensorCore

// Operators that are called for what they do: each happens as often as the program says, in its order, compiled or not.
extension OperatorLibrary {
  static let effects = [printLine, assertAsync, assertAsyncMessage, functionalAssertAsync]

  /// Hands a line to `EffectOutput`.
  public static let printLine = OperatorDefinition(
    "_print(str s) -> ()", traits: .effectful,
    .host(shape: { _ in [] }, body: { call, _ in EffectOutput.handler(try call.string(0)) })
  )
  .notDifferentiable()

  /// Refuses a 0 in a tensor of one element.
  public static let assertAsync = asserting("_assert_async(Tensor self) -> ()") { _ in
    "the asserted tensor holds 0"
  }
  .notDifferentiable()

  /// As `_assert_async`, with a message of one's own.
  public static let assertAsyncMessage = asserting("_assert_async.msg(Tensor self, str assert_msg) -> ()") {
    try $0.string(1)
  }
  .notDifferentiable()

  /// As `_assert_async`, and a copy of `dep_token`: what uses the copy happens only where the assertion holds.
  public static let functionalAssertAsync = asserting(
    "_functional_assert_async.msg(Tensor self, str assert_msg, Tensor dep_token) -> Tensor", copying: 2
  ) { try $0.string(1) }
  .derivative { _ in nil }
  .derivative(of: "dep_token") { $0.gradient }

  private static func asserting(
    _ schema: String, copying copied: Int? = nil, message: @escaping @Sendable (OperatorCall) throws -> String
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .effectful,
      .host(
        shape: { call in
          let condition = try call.tensor(0)
          guard condition.elementCount == 1 else {
            throw OperatorError(
              .shape, call.target.name, "asserts one element, not \(condition.elementCount); call all() or any() first")
          }
          return try copied.map { position in
            let tensor = try call.tensor(position)
            let layout = tensor.layout.copied(format: .preserve)
            return [TensorMeta(dtype: tensor.dtype, layout: layout, device: tensor.device)]
          } ?? []
        },
        body: { call, results in
          guard try call.tensor(0).item().doubleValue != 0 else {
            throw OperatorError(.assertion, call.target.name, try message(call))
          }
          if let copied { try results[0].copy_(call.tensor(copied)) }
        }))
  }
}

/// Where the lines of `printEffect` go.
public enum EffectOutput {
  private static let sink = Locked<@Sendable (String) -> Void>({ print($0) })

  /// What gets each line, on whatever thread prints it; standard output at first.
  public static var handler: @Sendable (String) -> Void {
    get { sink.withLock { $0 } }
    set { sink.withLock { $0 = newValue } }
  }

  /// The lines that are printed, on any thread, while `body` runs.
  public static func lines(of body: () throws -> Void) rethrows -> [String] {
    let lines = Locked<[String]>([])
    let saved = handler
    handler = { line in lines.withLock { $0.append(line) } }
    defer { handler = saved }
    try body()
    return lines.withLock { $0 }
  }
}

/// Prints a line whenever the program gets here: eagerly as in a compiled function, where `print` would do so at capture alone.
public func printEffect(_ line: String) throws { _ = try OperatorLibrary.printLine.call([.string(line)]) }

/// Asserts, whenever the program gets here, that the one element of a tensor, of any dtype, is not 0.
///
/// - Throws: `OperatorError` with code `assertion` and the message where it is 0, `shape` where there is not one element. A
///   compiled function throws when it is called.
public func assertEffect(_ condition: Tensor, _ message: String? = nil) throws {
  let target = message == nil ? OperatorLibrary.assertAsync : OperatorLibrary.assertAsyncMessage
  _ = try target.call([.reference(condition)] + (message.map { [.string($0)] } ?? []))
}

/// As `assertEffect`, for a value that is to be used only where the assertion holds.
///
/// - Returns: A copy of `value`, through which gradients flow.
public func assertEffect(_ condition: Tensor, _ message: String, before value: Tensor) throws -> Tensor {
  try OperatorLibrary.functionalAssertAsync(.reference(condition), .string(message), .reference(value))
}
