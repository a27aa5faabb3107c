import AOTArtifacts
import Capture
import EagerAutograd
import Functionalization
import GraphIR
import JointTracing
import Operators
import Partitioning
import RuntimeWrappers
import TensorCore
import XCTest

/// A function that the tests run eagerly and through the stages.
typealias TestFunction = ([Tensor]) throws -> [Value]

func tensor(_ elements: [Float], _ shape: [Int]) throws -> Tensor { try Tensor(elements, shape: shape) }

/// 0, 1, 2, … in a shape.
func counting(_ shape: [Int]) throws -> Tensor {
  try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
}

/// A tensor with a gradient history, so that it may be written to: `leaf` times 1.
func withHistory(_ leaf: Tensor) throws -> Tensor { try leaf.requiringGrad() * 1.0 }

func captured(_ arguments: [Tensor], _ function: TestFunction) throws -> AOTGraphCapture {
  let guards = arguments.map {
    Argument<InputSignature.TensorGuard>.reference(
      .init(
        dtype: $0.dtype, sizes: $0.sizes, strides: $0.strides, device: $0.device, requiresGrad: $0.requiresGrad,
        isLeaf: $0.isLeaf))
  }
  let signature = InputSignature(arguments: guards, isGradEnabled: isGradEnabled, isInferenceMode: false)
  return try ClosureCapture(source: SourceLocation(file: "Test.swift", line: 1))(
    arguments.map { .reference($0) }, signature: signature
  ) { try function($0.compactMap(\.reference)) }
}

func functionalized(_ arguments: [Tensor], _ function: TestFunction) throws -> FunctionalGraph {
  try captured(arguments, function).functionalized()
}

/// Lines of a graph's text without source locations and metadata, for comparison.
func skeleton(_ graph: Graph) -> String {
  graph.nodes.map { id in
    let node = graph[id]
    func spelled(_ argument: GraphArgument) -> String {
      switch argument {
      case .reference(let id): graph[id].name
      case .list(let values): "[" + values.map(spelled).joined(separator: ", ") + "]"
      case .tuple(let values): "(" + values.map(spelled).joined(separator: ", ") + ")"
      case .int(let value): "\(value)"
      case .double(let value): "\(value)"
      case .bool(let value): "\(value)"
      case .none: "none"
      case .dtype(let value): "\(value)"
      case .memoryFormat(let value): value.rawValue
      default: "?"
      }
    }
    let arguments =
      node.arguments.map(spelled) + node.keywordArguments.map { "\($0.name)=\(spelled($0.value))" }
    switch node.kind {
    case .placeholder: return "\(node.name): input"
    case .getAttribute(let path): return "\(node.name) = \(path)"
    case .output: return "return \(arguments.joined(separator: ", "))"
    case .callFunction(let target):
      let name = target.name.overload == "default" ? target.name.base : "\(target.name.base).\(target.name.overload)"
      return "\(node.name) = \(name)(\(arguments.joined(separator: ", ")))"
    }
  }.joined(separator: "\n")
}

/// The function as the stages compile it, its graphs interpreted.
func staged(_ outer: AOTGraphCapture) throws -> RuntimeFunction {
  let (capture, syntheticBase) = try SyntheticBase.preCompile(outer)
  let functional = try capture.functionalized()
  try functional.module.validate()
  func interpreted(_ module: GraphModule) -> ([Value]) throws -> [Value] {
    { arguments in try noGrad { try Interpreter(module).run(arguments).elements ?? [] } }
  }
  let joint = capture.needsAutograd ? try functional.differentiated() : nil
  guard let joint, !joint.differentiableOutputs.isEmpty else {
    let run = SendableBox(interpreted(functional.module))
    return WrapperStack(outer, capture, functional.meta, .init(syntheticBase: syntheticBase)).wrap {
      try run.value($0.map { .reference($0) })
    }
  }
  try joint.module.validate()
  let partition = try MinCutPartition().partition(joint)
  func module(_ graph: Graph) -> GraphModule {
    var module = joint.module
    module.graph = graph
    return module
  }
  let backward = LazyBackward(module(partition.backward), compiler: InterpretingCompiler())
  let run = SendableBox(interpreted(module(partition.forward)))
  let autograd = try AutogradJoin(
    functional, joint, partition, failures: { capture.failure(of: $0, functional.meta) }, backward: backward,
    differentiableBackward: nil)
  return WrapperStack(outer, capture, functional.meta, .init(syntheticBase: syntheticBase, autograd: autograd))
    .wrap { try run.value($0.map { .reference($0) }) }
}

struct SendableBox<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

struct InterpretingCompiler: GraphCompiler {
  let name = "interpret"

  func compile(_ module: GraphModule, role: GraphRole) throws -> any CompiledGraph { Interpreted(module) }

  private final class Interpreted: CompiledGraph, @unchecked Sendable {
    let module: GraphModule
    var workspaceByteCount: Int? { nil }
    init(_ module: GraphModule) { self.module = module }
    func run(_ arguments: [Value]) throws -> [Value] {
      try noGrad { try Interpreter(module).run(arguments).elements ?? [] }
    }
  }
}
