import GraphIR
import TensorCore

/// What a graph is compiled for.
public enum GraphRole: String, Hashable, Sendable, CaseIterable {
  case forward, backward, inference
}

/// Turns a functional graph into something that runs. Forward, backward and inference graphs may have different ones.
public protocol GraphCompiler: Sendable {
  /// A name for messages and logs.
  var name: String { get }

  func compile(_ module: GraphModule, role: GraphRole) throws -> any CompiledGraph

  /// Compiles a graph that may overwrite memory of its arguments.
  ///
  /// - Parameter arguments: Positions of tensors that nobody looks at once the graph has run, and whose memory nobody shares:
  ///   the graph may use it for what it computes, results included.
  func compile(_ module: GraphModule, role: GraphRole, donating arguments: [Int]) throws -> any CompiledGraph
}

extension GraphCompiler {
  /// Leaves the memory of arguments alone.
  public func compile(_ module: GraphModule, role: GraphRole, donating arguments: [Int]) throws -> any CompiledGraph {
    try compile(module, role: role)
  }
}

/// A compiled graph. It may run on several threads at once.
public protocol CompiledGraph: AnyObject, Sendable {
  /// Bytes that a run needs beyond its inputs and outputs; nil where it is not known ahead of time.
  var workspaceByteCount: Int? { get }

  /// Runs the graph.
  ///
  /// - Parameter arguments: One per placeholder.
  /// - Returns: The elements of the graph's output tuple.
  func run(_ arguments: [Value]) throws -> [Value]

  /// As `run(_:)`, where every argument is a tensor, as those of forward and inference graphs are.
  func run(tensors: [Tensor]) throws -> [Value]
}

extension CompiledGraph {
  public func run(tensors: [Tensor]) throws -> [Value] { try run(tensors.map { .reference($0) }) }
}

/// Decides what the forward graph saves for the backward graph.
public protocol Partitioner: Sendable {
  var name: String { get }

  func partition(_ joint: JointGraph) throws -> Partition
}
