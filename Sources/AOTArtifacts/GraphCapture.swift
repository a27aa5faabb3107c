import GraphIR
import TensorCore

/// Stage 1 of the way: a function captured as a graph of ATen calls, views and in-place calls as the user wrote them.
public struct AOTGraphCapture {
  /// Placeholders are described `.input(i)` for the flat arguments, then `.closedOver(k)`; the output is one tuple with an
  /// element per flat output.
  public var module: GraphModule
  /// The flat position of the argument each `.input` placeholder stands for. Arguments that are no tensors have none.
  public var inputPositions: [Int]
  /// The tensors that the closure uses without getting them as arguments, in order of first use: hidden inputs.
  public var closedOver: [Tensor]
  public var signature: InputSignature
  /// Per placeholder: whether gradients are wanted and whether the tensor is a leaf.
  public var inputs: [InputFacts]
  /// Per flat output: whether the eager output would require a gradient.
  public var outputsRequireGrad: [Bool]
  /// Grad mode at the end of the function, where it differs from that at the start.
  public var gradModeAfter: Bool?

  public struct InputFacts: Hashable, Sendable {
    public var requiresGrad: Bool
    public var isLeaf: Bool

    public init(requiresGrad: Bool, isLeaf: Bool) {
      self.requiresGrad = requiresGrad
      self.isLeaf = isLeaf
    }
  }

  public init(
    module: GraphModule, inputPositions: [Int], closedOver: [Tensor], signature: InputSignature, inputs: [InputFacts],
    outputsRequireGrad: [Bool], gradModeAfter: Bool?
  ) {
    self.module = module
    self.inputPositions = inputPositions
    self.closedOver = closedOver
    self.signature = signature
    self.inputs = inputs
    self.outputsRequireGrad = outputsRequireGrad
    self.gradModeAfter = gradModeAfter
  }

  /// Whether calls are to take part in autograd.
  public var needsAutograd: Bool {
    signature.isGradEnabled && inputs.contains(where: \.requiresGrad)
  }
}

/// A graph without views of visible memory and without writing, but for copies into inputs at its very end.
///
/// Its output is one tuple: the new values of inputs mutated out of the graph (`.mutated`), the outputs that the runtime
/// does not make by itself (`.output`), the intermediate bases (`.intermediateBase`).
public struct FunctionalGraph {
  public var module: GraphModule
  public var meta: ViewAndMutationMeta

  public init(module: GraphModule, meta: ViewAndMutationMeta) {
    self.module = module
    self.meta = meta
  }
}

/// Forward and backward in one graph.
///
/// Inputs are the primals, then one tangent (`.tangent(of:)`) per forward output that a gradient can flow into; the output is
/// one tuple: the forward outputs, then one gradient (`.gradient(of:)`) or none per primal.
public struct JointGraph {
  public var module: GraphModule
  public var primalCount: Int
  public var forwardOutputCount: Int
  /// The forward outputs that have a tangent, by position, in the tangents' order.
  public var differentiableOutputs: [Int]

  public init(module: GraphModule, primalCount: Int, forwardOutputCount: Int, differentiableOutputs: [Int]) {
    self.module = module
    self.primalCount = primalCount
    self.forwardOutputCount = forwardOutputCount
    self.differentiableOutputs = differentiableOutputs
  }
}

/// A joint graph cut in two.
///
/// The forward graph returns the forward outputs, then the saved values; the backward graph takes the saved values, then the
/// tangents, and returns a gradient or none per primal.
public struct Partition {
  public var forward: GraphModule
  public var backward: GraphModule
  public var forwardOutputCount: Int
  public var saved: [SavedValue]

  public init(forward: GraphModule, backward: GraphModule, forwardOutputCount: Int, saved: [SavedValue]) {
    self.forward = forward
    self.backward = backward
    self.forwardOutputCount = forwardOutputCount
    self.saved = saved
  }

  public struct SavedValue: Hashable, Sendable {
    public var name: String
    public var meta: MetaValue?
    /// The primal that is kept as it is, where it is one: no copy, no extra memory.
    public var primal: Int?
    /// Why it is saved, for reports.
    public var reason: String

    public init(name: String, meta: MetaValue?, primal: Int?, reason: String) {
      self.name = name
      self.meta = meta
      self.primal = primal
      self.reason = reason
    }

    /// Memory that saving it keeps alive beyond the inputs.
    public var byteCount: Int { primal == nil ? meta?.reference?.byteCount ?? 0 : 0 }
  }

  public var savedByteCount: Int { saved.reduce(0) { $0 + $1.byteCount } }
}
