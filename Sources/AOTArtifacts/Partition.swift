import GraphIR
import TensorCore

/// A joint graph in two halves.
public struct Partition: Sendable {
  /// Takes the primals; returns the forward outputs, then the saved tensors, then the saved numbers.
  public var forward: Graph
  /// Takes the saved tensors, the saved numbers and the tangents; returns the gradients.
  public var backward: Graph
  public var forwardOutputCount: Int
  /// In the order of the joint graph.
  public var savedTensors: [SavedValue]
  /// Integers and other plain numbers, which autograd keeps apart from tensors.
  public var savedNumbers: [SavedValue]
  /// What the backward graph computes though the forward graph did, in the backward graph's order.
  public var recomputed: [RecomputedValue]
  /// The proof that the model's costs are least; nil where no cut was sought.
  public var cut: CutSummary?
  /// Bytes of what hooks keep in the place of the saved tensors; nil without hooks.
  public var packedByteCount: Int?

  /// Bytes that live from the forward to the backward pass because of the partition: each storage once, inputs left out.
  public var savedByteCount: Int {
    if let packedByteCount { return packedByteCount }
    var storages: Set<String> = []
    return savedTensors.reduce(0) { total, value in
      let isNew = value.origin != .input && value.origin != .viewOfInput && storages.insert(value.storage).inserted
      return isNew ? total + value.byteCount : total
    }
  }

  /// Positions of the saved tensors that nobody but the backward graph sees, each of which fills a storage of its own: a
  /// backward pass that is the last may overwrite them.
  public var donatedTensors: [Int] {
    // What hooks give instead may be anything.
    if packedByteCount != nil { return [] }
    let uses = Dictionary(grouping: savedTensors, by: \.storage)
    return savedTensors.indices.filter { position in
      let saved = savedTensors[position]
      guard saved.origin == .computed, !saved.isReturned, uses[saved.storage]?.count == 1, saved.byteCount > 0,
        let meta = saved.value.reference, meta.layout.offset == 0
      else { return false }
      return (try? meta.layout.requiredByteCount(meta.dtype)) == saved.byteCount
    }
  }

  public init(
    forward: Graph, backward: Graph, forwardOutputCount: Int, savedTensors: [SavedValue],
    savedNumbers: [SavedValue] = [], recomputed: [RecomputedValue] = [], cut: CutSummary? = nil
  ) {
    self.forward = forward
    self.backward = backward
    self.forwardOutputCount = forwardOutputCount
    self.savedTensors = savedTensors
    self.savedNumbers = savedNumbers
    self.recomputed = recomputed
    self.cut = cut
  }
}

/// The two sides of the proof. Both count bytes, less what the policy calls free; they are equal.
public struct CutSummary: Hashable, Sendable {
  public var cutValue: Int64
  public var flowValue: Int64

  public init(cutValue: Int64, flowValue: Int64) {
    self.cutValue = cutValue
    self.flowValue = flowValue
  }
}

/// A value that the forward graph hands to the backward graph.
public struct SavedValue: Hashable, Sendable {
  public enum Origin: Hashable, Sendable {
    /// An input of the forward graph as it came: kept without a copy.
    case input
    /// A view of an input: no memory of its own either.
    case viewOfInput
    /// Something the forward graph returns anyway, at this position.
    case output(Int)
    case computed
  }

  /// The node's name, in the joint graph and in both halves.
  public var name: String
  public var value: MetaValue
  /// Bytes of the storage that the value keeps alive; 8 for a number.
  public var byteCount: Int
  /// The name of the value whose storage this is: its own, or that of what it is a view of.
  public var storage: String
  /// Whether something that the forward graph returns lies in the same storage.
  public var isReturned: Bool
  public var origin: Origin
  public var reason: SaveReason
  /// Nil for an input.
  public var operatorName: OperatorName?
  public var source: SourceLocation?

  public init(
    name: String, value: MetaValue, byteCount: Int, storage: String, isReturned: Bool = false, origin: Origin,
    reason: SaveReason, operatorName: OperatorName? = nil, source: SourceLocation? = nil
  ) {
    self.name = name
    self.value = value
    self.byteCount = byteCount
    self.storage = storage
    self.isReturned = isReturned
    self.origin = origin
    self.reason = reason
    self.operatorName = operatorName
    self.source = source
  }
}

/// A value that the backward graph computes again.
public struct RecomputedValue: Hashable, Sendable {
  public var name: String
  public var value: MetaValue?
  /// Bytes of memory that the value has while it lives; 0 for a view.
  public var byteCount: Int
  public var reason: RecomputeReason
  public var operatorName: OperatorName?
  public var source: SourceLocation?

  public init(
    name: String, value: MetaValue?, byteCount: Int, reason: RecomputeReason, operatorName: OperatorName? = nil,
    source: SourceLocation? = nil
  ) {
    self.name = name
    self.value = value
    self.byteCount = byteCount
    self.reason = reason
    self.operatorName = operatorName
    self.source = source
  }
}

/// Why a value is saved.
public enum SaveReason: Hashable, Sendable, CustomStringConvertible {
  /// The backward pass uses it, and nothing is recomputed.
  case used
  case input
  /// The forward pass returns it anyway.
  case output
  /// Among the values that would do, this costs the fewest bytes.
  case cheapest
  case tag(RecomputeTag)
  case random
  /// The operator writes, or does something besides computing.
  case effect
  case computeBound
  case reduction
  case unclassified
  case materializedInBackward
  case usedFarApart
  case longChain

  public var description: String {
    switch self {
    case .used: "used by the backward pass"
    case .input: "an input, kept without a copy"
    case .output: "returned anyway"
    case .cheapest: "the fewest bytes that suffice"
    case .tag(let tag): "tagged \(tag.rawValue)"
    case .random: "random"
    case .effect: "has an effect"
    case .computeBound: "compute bound"
    case .reduction: "a reduction, small beside its arguments"
    case .unclassified: "not known to be cheap"
    case .materializedInBackward: "read by a backward operator that does not fuse"
    case .usedFarApart: "beside a use that is far away"
    case .longChain: "ends a long chain of fusible operators"
    }
  }
}

/// Why a value is computed again.
public enum RecomputeReason: Hashable, Sendable, CustomStringConvertible {
  case view
  /// It is made of no other value: an attribute, or the result of a factory.
  case constant
  case tag(RecomputeTag)
  /// Saving what it is computed from costs no more bytes.
  case cheaper

  public var description: String {
    switch self {
    case .view: "a view"
    case .constant: "made of no other value"
    case .tag(let tag): "tagged \(tag.rawValue)"
    case .cheaper: "cheaper than saving it"
    }
  }
}
