import EagerAutograd
import GraphIR
import TensorCore

/// Everything about the arguments and surroundings of a call that compiled code relies on: the key of the guard table.
///
/// A call whose signature differs in any field compiles anew.
public struct InputSignature: Hashable, Sendable {
  public var arguments: [Argument<TensorGuard>]
  public var isGradEnabled: Bool
  public var isInferenceMode: Bool

  public init(arguments: [Argument<TensorGuard>], isGradEnabled: Bool, isInferenceMode: Bool) {
    self.arguments = arguments
    self.isGradEnabled = isGradEnabled
    self.isInferenceMode = isInferenceMode
  }

  /// What is relied on about one tensor.
  public struct TensorGuard: Hashable, Sendable {
    public var dtype: DType
    public var sizes: [SymInt]
    public var strides: [SymInt]
    public var device: Device
    public var requiresGrad: Bool
    public var isLeaf: Bool
    /// How its gradient finds the way to what it is a view of.
    public var viewGradient: ViewGradient
    /// Whether its memory was made in inference mode: writes and saving for a gradient are refused outside of it.
    public var isInference: Bool
    /// Whether the first element is not its storage's first.
    public var startsInside: Bool
    /// The first argument that is the very same tensor; nil for the first one itself.
    public var sameAs: Int?
    /// The first argument that lies in the same storage, and the offset in bytes from it; nil where none does.
    public var overlap: Overlap?
    /// What the tensor is made of; nil for an ordinary tensor.
    public var subclass: SubclassMeta?
    /// The first argument before this one that shares memory with it through inner tensors alone.
    public var innerOverlap: Int?

    public struct Overlap: Hashable, Sendable {
      public var with: Int
      public var offset: Int
      /// Whether autograd knows both as views of one tensor; where it does not, places in the storage count, not distances.
      public var sharesBase: Bool
      /// What the other one, and this one, are views of.
      public var bases: [Base]

      public init(with: Int, offset: Int, sharesBase: Bool = true, bases: [Base] = []) {
        self.with = with
        self.offset = offset
        self.sharesBase = sharesBase
        self.bases = bases
      }
    }

    /// What is relied on about the base of a view.
    public struct Base: Hashable, Sendable {
      public var sizes: [SymInt]
      public var strides: [SymInt]
      /// In bytes, from the other tensor or the start of the storage.
      public var offset: Int
      public var requiresGrad: Bool
      public var isLeaf: Bool
      /// Whether it is the argument itself, which is no view.
      public var isArgument: Bool
      public var subclass: SubclassMeta?

      public init(
        sizes: [SymInt], strides: [SymInt], offset: Int, requiresGrad: Bool, isLeaf: Bool, isArgument: Bool,
        subclass: SubclassMeta? = nil
      ) {
        self.sizes = sizes
        self.strides = strides
        self.offset = offset
        self.requiresGrad = requiresGrad
        self.isLeaf = isLeaf
        self.isArgument = isArgument
        self.subclass = subclass
      }
    }

    public init(
      dtype: DType, sizes: [SymInt], strides: [SymInt], device: Device, requiresGrad: Bool, isLeaf: Bool,
      viewGradient: ViewGradient = .none, isInference: Bool = false, startsInside: Bool = false, sameAs: Int? = nil,
      overlap: Overlap? = nil,
      subclass: SubclassMeta? = nil, innerOverlap: Int? = nil
    ) {
      self.dtype = dtype
      self.sizes = sizes
      self.strides = strides
      self.device = device
      self.requiresGrad = requiresGrad
      self.isLeaf = isLeaf
      self.viewGradient = viewGradient
      self.isInference = isInference
      self.startsInside = startsInside
      self.sameAs = sameAs
      self.overlap = overlap
      self.subclass = subclass
      self.innerOverlap = innerOverlap
    }
  }
}
