import AOTArtifacts
import GraphIR
import TensorCore

/// Something that an entry was compiled for and that a call differs in.
public struct GuardFailure: Hashable, Sendable, CustomStringConvertible {
  public enum Fact: String, Hashable, Sendable, CaseIterable {
    case dtype, sizes, strides, device
    case startsInside = "starts inside its storage"
    case requiresGrad = "requires grad"
    case isLeaf = "is a leaf"
    case viewGradient = "view's gradient"
    case isInference = "was made in inference mode"
    case sameTensor = "is the very tensor"
    case sharedMemory = "shares memory with"
    case gradMode = "grad mode"
    case inferenceMode = "inference mode"
    case autocast
    case savedTensorHooks = "hooks for saved tensors"
    case subclass
    case innerMemory = "shares inner memory with"
    /// Numbers, strings and settings, or how tensors are nested.
    case constants = "what is no tensor"
    case tensorCount = "number of tensors"
    /// What a `Guarded` variable holds.
    case variable = "value"
  }

  public enum Subject: Hashable, Sendable {
    case call
    /// An argument by position, and where in it the tensor is, such as `.weight` or `[1]`; empty for a tensor itself.
    case argument(Int, path: String)
    /// A tensor that the closure captured, in order of first use.
    case captured(Int)
    /// A `Guarded` variable that the closure read.
    case variable(String)
  }

  public var subject: Subject
  public var fact: Fact
  /// What the entry was compiled for.
  public var compiled: String
  /// What the call has.
  public var called: String

  public var description: String {
    let place = if case .call = subject { "" } else { "\(subject): " }
    return "\(place)\(fact.rawValue) was \(compiled), is \(called)"
  }
}

extension GuardFailure.Subject: CustomStringConvertible {
  public var description: String {
    switch self {
    case .call: "the call"
    case .argument(let position, let path): "argument \(position)\(path)"
    case .captured(let number): "captured tensor \(number)"
    case .variable(let name): name
    }
  }
}

extension InputSignature.TensorGuard {
  /// What a call's tensor differs in.
  ///
  /// - Parameter name: Says which tensor of the call one is.
  func failures(
    _ subject: GuardFailure.Subject, of called: Self, naming name: (Int) -> GuardFailure.Subject
  ) -> [GuardFailure] {
    func spelled(_ overlap: Overlap?) -> String {
      guard let overlap else { return "none" }
      let bases = overlap.bases.map {
        "\($0.isArgument ? "itself" : "a tensor"), \($0.sizes) strides \($0.strides) at \($0.offset)"
      }.joined(separator: " and ")
      let place = overlap.sharesBase ? "\(overlap.offset) bytes on" : "at byte \(overlap.offset)"
      return "\(name(overlap.with)), \(place), a view of \(bases)"
    }
    func spelled(_ index: Int?) -> String { index.map { "\(name($0))" } ?? "none" }
    let facts: [(GuardFailure.Fact, String, String)] = [
      (.dtype, "\(dtype)", "\(called.dtype)"), (.sizes, "\(sizes)", "\(called.sizes)"),
      (.strides, "\(strides)", "\(called.strides)"), (.device, "\(device)", "\(called.device)"),
      (.startsInside, "\(startsInside)", "\(called.startsInside)"),
      (.requiresGrad, "\(requiresGrad)", "\(called.requiresGrad)"), (.isLeaf, "\(isLeaf)", "\(called.isLeaf)"),
      (.viewGradient, "\(viewGradient)", "\(called.viewGradient)"),
      (.isInference, "\(isInference)", "\(called.isInference)"),
      (.sameTensor, spelled(sameAs), spelled(called.sameAs)),
      (.sharedMemory, spelled(overlap), spelled(called.overlap)),
      (.subclass, subclass.map { "\($0)" } ?? "none", called.subclass.map { "\($0)" } ?? "none"),
      (.innerMemory, spelled(innerOverlap), spelled(called.innerOverlap)),
    ]
    return facts.filter { $0.1 != $0.2 }.map { .init(subject: subject, fact: $0.0, compiled: $0.1, called: $0.2) }
  }
}
