import AOTArtifacts
import Operators
import Partitioning

/// How a function is compiled.
public struct AOTConfiguration: Sendable {
  /// What turns graphs into something that runs.
  public var compiler: Compiler
  /// What decides which values are saved for the backward pass.
  public var partitioner: PartitionerChoice
  /// Which operators are replaced by others before graphs are partitioned and compiled. None need be: the library's own
  /// compilers know every operator.
  public var decompositions: DecompositionTable
  /// Which saved tensors go through `SavedTensorHooks`.
  public var savedTensorHooksFilter: SavedTensorHooksFilter
  /// How many signatures a function may be compiled for. A call beyond that throws: a value that changes at every call is
  /// being compiled in.
  public var maximumEntryCount: Int
  /// Whether every call checks what compilation relied on and promised: aliasing, writes, strides. For those who work on
  /// compilers and wrappers: a call throws an error that names what does not hold.
  public var debugAssertions: Bool

  public init(
    compiler: Compiler = .cpu, partitioner: PartitionerChoice = .minCut, decompositions: DecompositionTable = .none,
    savedTensorHooksFilter: SavedTensorHooksFilter = .all, maximumEntryCount: Int = 64, debugAssertions: Bool = false
  ) {
    self.compiler = compiler
    self.partitioner = partitioner
    self.decompositions = decompositions
    self.savedTensorHooksFilter = savedTensorHooksFilter
    self.maximumEntryCount = maximumEntryCount
    self.debugAssertions = debugAssertions
  }

  public enum Compiler: Sendable {
    /// Fused loops on the CPU.
    case cpu
    /// Each graph node by node, through the eager kernels.
    case interpret
    /// Nothing is captured: every call runs the closure.
    case none
    /// Compilers of one's own.
    case custom(
      forward: any GraphCompiler, backward: any GraphCompiler, inference: any GraphCompiler)
  }

  public enum PartitionerChoice: Sendable {
    /// The cheapest set of saved values, recomputing what is cheap.
    case minCut
    /// Everything that backward needs is saved.
    case `default`
    case custom(any Partitioner)
  }

  /// Which saved tensors hooks see in a compiled function.
  public enum SavedTensorHooksFilter: Sendable {
    /// All, as in an eager one.
    case all
    /// Those that are no inputs, nor views of inputs.
    case noInputs
    /// Those that nobody but the backward pass will see: no inputs, outputs, or views of either.
    case donatedOnly

    func accepts(_ value: SavedValue) -> Bool {
      switch (self, value.origin) {
      case (.all, _): true
      case (.noInputs, .input), (.noInputs, .viewOfInput): false
      case (.noInputs, _): true
      case (.donatedOnly, let origin): origin == .computed && !value.isReturned
      }
    }
  }

  /// The compiler of a graph; nil where functions run uncompiled.
  func compiler(for role: GraphRole) -> (any GraphCompiler)? {
    switch compiler {
    case .cpu: LoopCompiler.cpu
    case .interpret: InterpretCompiler()
    case .none: nil
    case .custom(let forward, let backward, let inference):
      switch role {
      case .forward: forward
      case .backward: backward
      case .inference: inference
      }
    }
  }

  /// Whether compiled graphs may give results with other strides than the graph says: a compiler of one's own may.
  var mayRestrideResults: Bool { if case .custom = compiler { true } else { false } }

  var partitionerInUse: any Partitioner {
    switch partitioner {
    case .minCut: MinCutPartition()
    case .default: DefaultPartition()
    case .custom(let partitioner): partitioner
    }
  }
}
