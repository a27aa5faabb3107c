import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Everything that a caller can see of a call and of the backward pass after it.
struct CallObservation {
  enum Stage: Int, Comparable {
    case call, afterwards, backward
    static func < (a: Stage, b: Stage) -> Bool { a.rawValue < b.rawValue }
  }

  /// What was thrown, and when.
  private(set) var failure: (stage: Stage, error: any Error)?
  private(set) var facts: [Fact] = []

  /// Something about one tensor at one stage.
  struct Fact {
    let stage: Stage
    let subject: Subject
    let property: Property
    let value: Observed
  }

  enum Subject: Hashable {
    case call
    case argument(Int), captured(Int), output(Int), leaf(Int)
  }

  enum Property: String {
    case isThere = "is a tensor"
    case dtype, sizes, strides, offset
    case requiresGrad = "requires grad"
    case isLeaf = "is a leaf"
    case isInference = "was made in inference mode"
    case sameTensor = "is the very tensor"
    case sharedMemory = "shares memory with"
    case isWritten = "was written to"
    case keepsStorage = "keeps its storage"
    case elements, memory, gradient
    case gradMode = "grad mode after"
  }

  enum Observed: Equatable {
    case flag(Bool)
    case dtype(DType)
    case integers([Int])
    case tensor(Subject?)
    /// Compared up to the rounding of a dtype.
    case elements([Double], DType)
    /// Whatever it is, nobody can rely on it.
    case unspecified
  }

  private var captured: [Tensor] = []
  private var arguments: [Tensor] = []
  private var outputs: [Tensor?] = []
  private var storages: [(storage: Storage, version: Int)] = []

  /// Makes the call.
  ///
  /// - Parameters:
  ///   - number: Seeds the generator that random operators draw from.
  ///   - isLast: Whether no later call needs the histories of what is captured: its backward pass may use them up.
  /// - Throws: What making the arguments throws; what the call throws is observed.
  init(
    of call: CheckedCall, captured: CheckedCall.Arguments, number: Int, isLast: Bool,
    _ body: ([Tensor]) throws -> [Tensor?]
  ) throws {
    let given = try Generator(seed: UInt64(number)).use(call.arguments)
    arguments = given.tensors
    self.captured = captured.tensors
    storages = (arguments + self.captured).map { ($0.storage, $0.storage.version) }
    let leaves = given.leaves + captured.leaves + arguments + self.captured
    let wasGradEnabled = isGradEnabled
    defer { setGradEnabled(wasGradEnabled) }
    var stage = Stage.call
    do {
      try Generator(seed: UInt64(number)).use {
        setGradEnabled(call.isGradEnabled)
        outputs = try body(arguments)
        observe(.call)
        setGradEnabled(wasGradEnabled)
        stage = .afterwards
        if let afterwards = call.afterwards {
          try afterwards(arguments, outputs)
          observe(.afterwards)
        }
        stage = .backward
        try differentiate(call, retainGraph: !isLast)
      }
      observe(gradientsOf: leaves)
    } catch {
      failure = (stage, error)
      if stage == .call { observe(.call) }
    }
  }

  private func differentiate(_ call: CheckedCall, retainGraph: Bool) throws {
    let roots = outputs + arguments + captured
    var started: [(tensor: Tensor, tangent: Tensor)] = []
    for (index, root) in roots.enumerated() {
      guard let root, root.requiresGrad, !root.isLeaf || index < outputs.count else { continue }
      if let tangent = try call.tangent(index, root) { started.append((root, tangent)) }
    }
    if started.isEmpty { return }
    try backward(started.map(\.tensor), gradients: started.map(\.tangent), retainGraph: retainGraph)
  }

  // MARK: - Looking

  private mutating func observe(_ stage: Stage) {
    if stage == .call { add(stage, .call, .gradMode, .flag(isGradEnabled)) }
    var seen: [(subject: Subject, tensor: Tensor)] = []
    let inputs =
      arguments.enumerated().map { (Subject.argument($0), $1) }
      + captured.enumerated().map { (Subject.captured($0), $1) }
    for (position, (subject, tensor)) in inputs.enumerated() {
      let (storage, version) = storages[position]
      add(stage, subject, .isWritten, .flag(storage.version != version))
      add(stage, subject, .keepsStorage, .flag(tensor.storage === storage))
      observe(tensor, as: subject, stage, &seen)
      if storages[..<position].contains(where: { $0.storage === storage }) { continue }
      add(stage, subject, .memory, .elements(storage.elements(as: tensor.dtype), tensor.dtype))
    }
    for (index, output) in outputs.enumerated() {
      add(stage, .output(index), .isThere, .flag(output != nil))
      if let output { observe(output, as: .output(index), stage, &seen) }
    }
  }

  private mutating func observe(
    _ tensor: Tensor, as subject: Subject, _ stage: Stage, _ seen: inout [(subject: Subject, tensor: Tensor)]
  ) {
    let same = seen.first { $0.tensor === tensor }?.subject
    add(stage, subject, .sameTensor, .tensor(same))
    if same != nil { return }
    let sharing = seen.first { $0.tensor.storage === tensor.storage }?.subject
    seen.append((subject, tensor))
    add(stage, subject, .sharedMemory, .tensor(sharing))
    add(stage, subject, .dtype, .dtype(tensor.dtype))
    add(stage, subject, .sizes, .integers(tensor.shape))
    add(stage, subject, .strides, .integers(tensor.layout.meaningfulStrides))
    if !tensor.layout.isEmpty { add(stage, subject, .offset, .integers([tensor.layout.offset.value])) }
    add(stage, subject, .requiresGrad, .flag(tensor.requiresGrad))
    // Of a view made with grad mode off, or of what has other memory since, it tells whether memory was written to: nobody's concern.
    let record = tensor.viewRecord
    let isUnconnected =
      record.map { $0.circumstance == .gradientsDisabled || $0.base.storage !== tensor.storage } ?? false
    add(stage, subject, .isLeaf, isUnconnected ? .unspecified : .flag(tensor.isLeaf))
    add(stage, subject, .isInference, .flag(tensor.isInference))
    add(stage, subject, .elements, .elements((try? tensor.doubles()) ?? [], tensor.dtype))
  }

  /// No gradient is a gradient of zeros.
  private mutating func observe(gradientsOf leaves: [Tensor]) {
    var seen: Set<ObjectIdentifier> = []
    for (index, leaf) in leaves.enumerated() where leaf.isLeaf && leaf.requiresGrad {
      guard seen.insert(ObjectIdentifier(leaf)).inserted else { continue }
      let gradient = leaf.grad
      let zeros = [Double](repeating: 0, count: leaf.elementCount)
      add(.backward, .leaf(index), .dtype, .dtype(gradient?.dtype ?? leaf.dtype))
      add(.backward, .leaf(index), .sizes, .integers(gradient?.shape ?? leaf.shape))
      add(.backward, .leaf(index), .gradient, .elements((try? gradient?.doubles()) ?? zeros, coarsestDType(leaf)))
    }
  }

  /// The least precise type that a leaf's gradient may have been rounded to on its way.
  private func coarsestDType(_ leaf: Tensor) -> DType {
    let dtypes = (arguments + captured + outputs.compactMap(\.self)).map(\.dtype)
    return [.bfloat16, .float16].first(where: dtypes.contains) ?? leaf.dtype
  }

  private mutating func add(_ stage: Stage, _ subject: Subject, _ property: Property, _ value: Observed) {
    facts.append(Fact(stage: stage, subject: subject, property: property, value: value))
  }
}

extension Layout {
  /// The strides that can be told: those of dimensions with more than one element, where there is any.
  fileprivate var meaningfulStrides: [Int] {
    isEmpty ? [] : zip(sizes, strides).map { $0 > 1 ? $1.value : 0 }
  }
}

extension Storage {
  /// All of the memory.
  fileprivate func elements(as dtype: DType) -> [Double] {
    let layout = Layout(contiguous: [SymInt(byteCount / dtype.byteCount)])
    return (try? Tensor(storage: self, layout: layout, dtype: dtype).doubles()) ?? []
  }
}
