import GraphIR
import Operators
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
    /// What the tensor is made of; nil for an ordinary tensor.
    public var subclass: SubclassMeta?
    /// Whether an inner tensor lies in memory that another input has as well, though the two are no views of one tensor.
    public var sharesInnerMemory: Bool

    public init(requiresGrad: Bool, isLeaf: Bool, subclass: SubclassMeta? = nil, sharesInnerMemory: Bool = false) {
      self.requiresGrad = requiresGrad
      self.isLeaf = isLeaf
      self.subclass = subclass
      self.sharesInnerMemory = sharesInnerMemory
    }

    /// What the tensor is made of; nil for an ordinary tensor, which its placeholder's metadata describes.
    public var structure: TensorStructure? { subclass.map { .wrapper($0) } }
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
    signature.isGradEnabled && !signature.isInferenceMode && inputs.contains(where: \.requiresGrad)
  }

  /// Whether an input or a constant is of a wrapper subclass.
  public var usesSubclasses: Bool {
    inputs.contains { $0.subclass != nil } || module.attributes.values.contains { $0.subclass != nil }
  }
}
