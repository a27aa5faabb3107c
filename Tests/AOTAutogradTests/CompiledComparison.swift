import AOTAutograd
import AOTAutogradTesting
import XCTest

/// Everything that a caller can see of a call: of each result and argument its geometry, place in autograd, identity and
/// elements, and the gradients that a backward pass through the results leaves behind.
struct CallRecord {
  /// What has to agree exactly, one line per tensor.
  var facts: [String] = []
  /// What has to agree up to rounding.
  var elements: [(name: String, values: [Double])] = []
  /// What the call threw, with the stage at which it did.
  var failure: (stage: String, error: any Error)?

  /// - Parameters:
  ///   - arguments: Fresh tensors; a leaf among them, or behind them, that requires a gradient has it compared.
  ///   - leaves: Further leaves whose gradients are compared.
  ///   - backward: Gives the gradients of a result; nil skips the backward pass.
  init(
    arguments: [Tensor], leaves: [Tensor] = [], backward: ((Tensor) throws -> Tensor?)? = CallRecord.weights,
    _ body: ([Tensor]) throws -> [Tensor]
  ) {
    let memory = arguments.map { (storage: $0.storage, version: $0.storage.version) }
    var results: [Tensor] = []
    do { results = try body(arguments) } catch { failure = ("call", error) }
    record(results, arguments, memory)
    guard failure == nil, let backward else { return }
    do {
      let roots = (results + arguments.filter { !$0.isLeaf }).filter(\.requiresGrad)
      let pairs = try roots.compactMap { root in try backward(root).map { (root, $0) } }
      if !pairs.isEmpty { try AOTAutograd.backward(pairs.map(\.0), gradients: pairs.map(\.1)) }
    } catch { failure = ("backward", error) }
    guard failure == nil else { return }
    for (index, leaf) in (arguments + leaves).enumerated() where leaf.isLeaf && leaf.requiresGrad {
      facts.append("grad \(index): \(leaf.grad.map { "\($0.dtype) \($0.shape)\(Self.structure($0))" } ?? "none")")
      if let gradient = leaf.grad { elements.append(("grad \(index)", Self.values(gradient))) }
    }
  }

  private mutating func record(
    _ results: [Tensor], _ arguments: [Tensor], _ memory: [(storage: Storage, version: Int)]
  ) {
    let all = arguments + results
    for (index, tensor) in all.enumerated() {
      let isArgument = index < arguments.count
      let name = isArgument ? "argument \(index)" : "result \(index - arguments.count)"
      var fact = "\(name): \(tensor.dtype) \(tensor.shape) strides \(Self.strides(tensor))\(Self.structure(tensor))"
      fact += tensor.requiresGrad ? (tensor.isLeaf ? " leaf" : " history") : " no grad"
      if isArgument, memory[index].storage.version != memory[index].version { fact += " written" }
      if let same = all[..<index].firstIndex(where: { $0 === tensor }) {
        fact += " is \(same)"
      } else if let sharing = all[..<index].firstIndex(where: { $0.storage === tensor.storage }) {
        fact += " shares with \(sharing) at \(tensor.layout.offset.value - all[sharing].layout.offset.value)"
      } else if let sharing = all[..<index].firstIndex(where: { $0.sharesInnerMemory(with: tensor) }) {
        fact += " shares inner memory with \(sharing)"
      }
      facts.append(fact)
      elements.append((name, Self.values(tensor)))
    }
  }

  /// The strides that matter: those of dimensions with more than one element.
  private static func strides(_ tensor: Tensor) -> [Int] {
    tensor.elementCount == 0 ? [] : zip(tensor.shape, tensor.strides.values).map { $0 > 1 ? $1 : 0 }
  }

  /// The subclasses that a tensor is made of; nothing for an ordinary one.
  private static func structure(_ tensor: Tensor) -> String {
    guard let subclass = tensor.subclass else { return "" }
    return " \(type(of: subclass))(\(subclass.innerTensors.map { $0.key + structure($0.value) }))"
  }

  static func values(_ tensor: Tensor) -> [Double] {
    guard tensor.subclass == nil else { return tensor.leaves.flatMap(values) }
    return (try? noGrad { try tensor.detach().to(.float64).contiguous().elements(as: Double.self) }) ?? []
  }

  /// Different gradients for different elements.
  static func weights(_ result: Tensor) throws -> Tensor? {
    if let pair = result.unwrapped(as: TwoTensor.self), let a = try weights(pair.a), let b = try weights(pair.b) {
      return try Tensor(wrapping: TwoTensor(a, b * 3))
    }
    let count = result.elementCount
    let weights = try Tensor((0..<count).map { 0.5 + 0.25 * Double($0 % 5) }, shape: result.shape)
    return try weights.to(result.dtype)
  }

  /// The differences between this call and the eager one, in words; empty where there are none.
  ///
  /// Where the eager call throws, this one has to throw before it writes. Where only the eager backward pass does, since a
  /// value it needs was overwritten, this one may know better. A gradient that is absent in one
  /// may be zeros in the other.
  func differences(from eager: CallRecord, tolerance: Double = 1e-5) -> [String] {
    if let (stage, error) = eager.failure, stage == "call" {
      guard failure?.stage == "call" else { return ["should throw: \(error)"] }
      return facts.filter { $0.contains(" written") }.map { "wrote, then threw: \($0)" }
    }
    if let (stage, error) = failure, eager.failure == nil || stage == "call" { return ["throws at \(stage): \(error)"] }
    var lines: [String] = []
    if facts.count < eager.facts.count { lines.append("got \(facts), eager \(eager.facts)") }
    for (got, want) in zip(facts, eager.facts) where got != want {
      let isZeroGradient =
        (want.hasSuffix("none") && isZero(got)) || (got.hasSuffix("none") && eager.isZero(want))
      if !isZeroGradient { lines.append("got \(got), eager \(want)") }
    }
    for (name, got) in elements {
      guard let want = eager.elements.first(where: { $0.name == name })?.values else { continue }
      if !Self.agree(got, want, tolerance) { lines.append("\(name): got \(got), eager \(want)") }
    }
    return lines
  }

  private func isZero(_ fact: String) -> Bool {
    elements.contains { fact.hasPrefix($0.name + ":") && $0.values.allSatisfy { $0 == 0 } }
  }

  private static func agree(_ got: [Double], _ want: [Double], _ tolerance: Double) -> Bool {
    got.count == want.count
      && zip(got, want).allSatisfy { a, b in
        a == b || (a.isNaN && b.isNaN) || abs(a - b) <= tolerance * max(1, abs(a), abs(b))
      }
  }
}

/// The ways of compiling that are compared with eager execution.
let comparedConfigurations: [(String, AOTConfiguration)] = [
  ("cpu", AOTConfiguration()), ("cpu, default partition", AOTConfiguration(partitioner: .default)),
  ("interpret", AOTConfiguration(compiler: .interpret)),
]

/// Compares calls of a function compiled with eager ones, in every configuration: the first call, which compiles, and a
/// second, which must find the entry.
///
/// - Parameters:
///   - arguments: Makes the arguments anew for each call.
func assertCompiledAgrees(
  _ arguments: () throws -> CallArguments,
  backward: ((Tensor) throws -> Tensor?)? = CallRecord.weights, calls: Int = 2, line: UInt = #line,
  file: StaticString = #filePath, _ body: @escaping ([Tensor]) throws -> [Tensor]
) throws {
  for (name, configuration) in comparedConfigurations {
    let function = aotFunction(configuration: configuration) { (tensors: [Tensor]) in try body(tensors) }
    for call in 1...calls {
      let (mine, eager) = (try arguments(), try arguments())
      let expected = CallRecord(arguments: eager.tensors, leaves: eager.leaves, backward: backward, body)
      let got = CallRecord(arguments: mine.tensors, leaves: mine.leaves, backward: backward) { try function($0) }
      for difference in got.differences(from: expected) {
        XCTFail("\(name), call \(call): \(difference)", file: file, line: line)
      }
    }
    XCTAssertLessThanOrEqual(function.entryCount, 1, "\(name): a second call compiled anew", file: file, line: line)
  }
}

/// The arguments of a call, and the leaves behind them whose gradients are compared as well.
struct CallArguments: ExpressibleByArrayLiteral {
  var tensors: [Tensor]
  var leaves: [Tensor] = []

  init(_ tensors: [Tensor], behind leaves: [Tensor] = []) {
    self.tensors = tensors
    self.leaves = leaves
  }

  init(arrayLiteral tensors: Tensor...) { self.tensors = tensors }
}

/// A tensor whose elements go up and down, the same at each call.
func wave(_ shape: [Int], from start: Double = 0, requiresGrad: Bool = false) throws -> Tensor {
  let count = shape.reduce(1, *)
  let values = (0..<count).map { Float(((start + Double($0) * 0.7319).truncatingRemainder(dividingBy: 2.3)) - 1.1) }
  let tensor = try Tensor(values, shape: shape)
  return requiresGrad ? try tensor.requiringGrad() : tensor
}
