import AOTArtifacts
import Capture
import GraphIR
import Operators
import TensorCore

/// Compiles a function of tensors, forward and backward, ahead of its execution.
///
///     let step = aotFunction { (x: Tensor, w: Tensor) in try x.matmul(w).tanh().sum() }
///     let loss = try step(x, w)   // captured, partitioned, compiled at the first call with this signature
///     try loss.backward()
///
/// The compiled function does what the closure does eagerly: values, aliasing, mutation, gradients, errors. Tensors that the
/// closure captures are read anew at each call, and gradients reach them: the very tensors that it used at the first call with a
/// signature, whatever tensor a captured variable, property or `grad` holds by then. Other captured values are taken as
/// constants: what changes between calls has to be an argument, or in a `Guarded` variable.
///
/// - Parameters:
///   - configuration: Compilers and partitioner.
///   - function: Runs at the first call with each signature, on tensors without elements.
public func aotFunction<each Input: TensorTree, Output: TensorTree>(
  configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  _ function: @escaping (repeat each Input) throws -> Output
) -> AOTFunction<Output, repeat each Input> {
  AOTFunction(configuration, SourceLocation(file: file, line: line), function) { output, transform in
    try output.mapTensors(transform)
  }
}

/// As `aotFunction`, for a closure that gives a tuple.
public func aotFunction<each Input: TensorTree, each Output: TensorTree>(
  configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  _ function: @escaping (repeat each Input) throws -> (repeat each Output)
) -> AOTFunction<(repeat each Output), repeat each Input> {
  AOTFunction(configuration, SourceLocation(file: file, line: line), function) { output, transform in
    (repeat try (each output).mapTensors(transform))
  }
}

/// A closure whose result is no tensor tree: calling it throws an error that says so.
public func aotFunction<each Input: TensorTree, Output>(
  configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  _ function: @escaping (repeat each Input) throws -> Output
) -> AOTFunction<Output, repeat each Input> {
  let source = SourceLocation(file: file, line: line)
  return AOTFunction(configuration, source, function) { _, _ in
    throw CaptureError(
      .nonTensorOutput,
      "the closure gives \(Output.self), which is no tensor and no tree of tensors; return a Tensor, or conform to TensorTree",
      source: source)
  }
}

/// A compiled function; see `aotFunction`.
///
/// It may be called from several threads at once. Tensors are not `Sendable`: two calls at a time must not share ones that
/// either writes to.
public final class AOTFunction<Output, each Input: TensorTree>: Sendable {
  private let table: GuardTable<Output>
  private let function: Closure

  /// The closure may capture tensors, which are not `Sendable`; it runs only while one thread holds the table's lock.
  private struct Closure: @unchecked Sendable {
    let call: (repeat each Input) throws -> Output
    let mapOutput: OutputTree<Output>.Map
  }

  init(
    _ configuration: AOTConfiguration, _ source: SourceLocation,
    _ function: @escaping (repeat each Input) throws -> Output,
    mapOutput: @escaping OutputTree<Output>.Map
  ) {
    self.table = GuardTable(configuration, source)
    self.function = Closure(call: function, mapOutput: mapOutput)
  }

  /// Calls the function, compiling it first where no earlier call had the same signature.
  ///
  /// - Throws: What the closure throws; `CaptureError` and the compilers' errors, before anything is written.
  public func callAsFunction(_ input: repeat each Input) throws -> Output {
    if table.runsEagerly { return try function.call(repeat each input) }
    let flat = Self.flattened(repeat each input)
    return try entry(flat, (repeat each input))(flat.tensors)
  }

  /// The stages of the way for these arguments, compiling where no call has; nothing is run.
  public func stages(_ input: repeat each Input) throws -> AOTStages {
    guard DispatchContext.current.mode == nil else {
      throw AOTError(
        .unsupported, "the stages of a function were asked for while another is captured", source: table.source)
    }
    return try entry(Self.flattened(repeat each input), (repeat each input)).stages
  }

  /// The number of signatures that the function is compiled for.
  public var entryCount: Int { table.entryCount }

  private static func flattened(_ input: repeat each Input) -> FlatTree {
    var flat = FlatTree()
    for part in repeat each input { part.flatten(into: &flat) }
    return flat
  }

  /// The entry that fits; made, where there is none, by running the closure on stand-ins for the tensors of `input`.
  private func entry(_ flat: FlatTree, _ input: (repeat each Input)) throws -> CompiledEntry<Output> {
    try table.entry(flat.tensors, flat.constants, naming: { Self.names(of: repeat each input) }) { tensors in
      var next = tensors.makeIterator()
      let replace: (Tensor) -> Tensor = { next.next() ?? $0 }
      return try OutputTree(function.call(repeat (each input).mapTensors(replace)), function.mapOutput)
    }
  }

  /// Which argument each tensor is, and where in it.
  private static func names(of input: repeat each Input) -> [GuardFailure.Subject] {
    var names: [GuardFailure.Subject] = []
    var position = 0
    for part in repeat each input {
      names += part.tensors.map { .argument(position, path: TensorPath.path(of: $0, in: part)) }
      position += 1
    }
    return names
  }
}
