import GraphIR
import Operators
import TensorCore

/// One run through the tape, on the calling thread.
///
/// Functions run in descending order of their making: edges lead to functions made earlier, so whatever gives to a function
/// has run before it. Leaves accumulate as soon as nothing more can arrive.
struct BackwardPass {
  /// A function's part in this pass.
  private struct Entry {
    let function: GradientFunction
    /// The entries that the function's edges lead to; -1 where there is no edge.
    var targets: [Int] = []
    /// The number of edges that gradients may still arrive over.
    var pending = 0
    var gradients: [Tensor?]
    /// Whether the function runs; otherwise only hooks do.
    var runs = true
    /// Which gradients are results of the pass, and which.
    var captures: [(input: Int, result: Int)] = []

    init(_ function: GradientFunction) {
      self.function = function
      self.gradients = Array(repeating: nil, count: function.inputMetadata.count)
    }

    var isLeaf: Bool { function is AccumulateGradient }
    /// Whether nothing comes of a gradient that arrives.
    var isIdle: Bool { !runs && captures.isEmpty }
  }

  private var entries: [Entry] = []
  private var indices: [ObjectIdentifier: Int] = [:]
  private var roots: [Root]
  private var order: [Int] = []
  private var results: [Tensor?] = []
  private let keepsGraph: Bool

  init(roots: [Root], keepsGraph: Bool) {
    self.roots = roots
    self.keepsGraph = keepsGraph
    for root in roots { _ = index(of: root.edge.function) }
    var next = 0
    while next < entries.count {
      entries[next].targets = entries[next].function.nextEdges.map { $0.map { index(of: $0.function) } ?? -1 }
      next += 1
    }
    order = entries.indices.sorted { entries[$0].function.sequenceNumber > entries[$1].function.sequenceNumber }
  }

  private mutating func index(of function: GradientFunction) -> Int {
    let key = ObjectIdentifier(function)
    if let known = indices[key] { return known }
    indices[key] = entries.count
    entries.append(Entry(function))
    return entries.count - 1
  }

  /// Limits the pass to what leads to some edges.
  ///
  /// - Parameter capturing: Whether the gradients that arrive there are the results of the pass, and nothing else comes of
  ///   them. Otherwise leaves accumulate there, and other tensors retain them.
  mutating func restrict(to edges: [GradientEdge], capturing: Bool) {
    results = Array(repeating: nil, count: edges.count)
    for index in entries.indices { entries[index].runs = false }
    for (result, edge) in edges.enumerated() {
      guard let index = indices[ObjectIdentifier(edge.function)] else { continue }
      entries[index].captures.append((edge.inputIndex, result))
      if !capturing && entries[index].isLeaf { entries[index].runs = true }
    }
    for index in order.reversed() where !entries[index].runs {
      entries[index].runs = entries[index].targets.contains { $0 >= 0 && !entries[$0].isIdle }
    }
  }

  /// - Returns: The gradients that arrived at the edges the pass was restricted to.
  mutating func run() throws -> [Tensor?] {
    // Gradients are of the types that values have, whatever is cast where the pass is started.
    try autocast(nil) { () throws in try runUncast() }
  }

  private mutating func runUncast() throws -> [Tensor?] {
    for index in entries.indices where entries[index].runs {
      for target in entries[index].targets where target >= 0 { entries[target].pending += 1 }
    }
    for root in roots { try add(root.gradient, to: index(of: root.edge.function), input: root.edge.inputIndex) }
    for root in roots {
      let index = index(of: root.edge.function)
      // A leaf given twice has been evaluated, with both gradients, the first time.
      if entries[index].isLeaf && entries[index].pending == 0 && !entries[index].gradients.isEmpty {
        try evaluate(index)
      }
    }
    roots = []
    for index in order where !entries[index].isLeaf { try evaluate(index) }
    return results
  }

  private mutating func evaluate(_ index: Int) throws {
    if entries[index].isIdle { return }
    let function = entries[index].function
    var gradients = entries[index].gradients
    entries[index].gradients = []
    let hooks = function.hooks
    try hooks?.runForTensors(&gradients)
    for capture in entries[index].captures { results[capture.result] = gradients[capture.input] }
    guard entries[index].runs else { return }

    try hooks?.runBefore(&gradients)
    let arrived = hooks?.runsAfter == true ? gradients : []
    var given = try function.consume(&gradients, isLast: !keepsGraph)
    try Self.validate(&given, of: function)
    if !arrived.isEmpty { try hooks?.runAfter(&given, gradients: arrived) }
    try deliver(given, from: index)
  }

  private static func validate(_ gradients: inout [Tensor?], of function: GradientFunction) throws {
    guard gradients.count == function.nextEdges.count else {
      throw AutogradError(
        .invalidGradient, in: function.operatorName,
        "\(function.name) gave \(gradients.count) gradients, but took \(function.nextEdges.count) inputs")
    }
    for (index, edge) in function.nextEdges.enumerated() {
      guard let edge, let gradient = gradients[index], let meta = edge.function.inputMetadata[edge.inputIndex] else {
        continue
      }
      gradients[index] = try GradientValidation.fitted(gradient, to: meta) {
        "gradient \(index) given by \(function.name)"
      }
    }
  }

  private mutating func deliver(_ gradients: [Tensor?], from index: Int) throws {
    var gradients = gradients
    for position in gradients.indices {
      let target = entries[index].targets[position]
      guard target >= 0, !entries[target].isIdle else { continue }
      if let gradient = gradients[position], let edge = entries[index].function.nextEdges[position] {
        gradients[position] = nil
        try add(gradient, to: target, input: edge.inputIndex)
      }
      entries[target].pending -= 1
      if entries[target].pending == 0 && entries[target].isLeaf { try evaluate(target) }
    }
  }

  private mutating func add(_ gradient: consuming Tensor, to index: Int, input: Int) throws {
    guard var sum = entries[index].gradients[input] else {
      entries[index].gradients[input] = gradient
      return
    }
    entries[index].gradients[input] = nil
    if gradient.wrapperMeta == nil, Self.isOurs(&sum) { try sum.add_(gradient) } else { sum = try sum + gradient }
    entries[index].gradients[input] = sum
  }

  /// Whether nobody else can see the tensor or its memory, so that it may be written to.
  private static func isOurs(_ tensor: inout Tensor) -> Bool {
    !isGradEnabled && DispatchContext.current.mode == nil && tensor.autogradMeta == nil && tensor.viewMeta == nil
      && tensor.wrapperMeta == nil
      && tensor.layout.isNonOverlappingAndDense && isKnownUniquelyReferenced(&tensor)
      && isKnownUniquelyReferenced(&tensor.storage)
  }
}
