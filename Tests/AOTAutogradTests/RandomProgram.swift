import AOTAutograd

/// A small generator of random numbers with a seed (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
  mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// A random function of one to three small tensors: pointwise operators, reductions, products, views, writes in place.
///
/// Each step decides by a seed of its own, and by the shapes that it finds, what it does. So a program from which steps are
/// taken out is a program still, and it does the same on real tensors and on those that stand in during capture.
struct RandomProgram {
  var inputSeed: UInt64
  var steps: [UInt64]
  var outputSeed: UInt64

  init(seed: UInt64, maximumStepCount: Int = 8) {
    var random = SeededRandom(seed)
    inputSeed = random.next()
    outputSeed = random.next()
    steps = (0..<1 + random.below(maximumStepCount)).map { _ in random.next() }
  }

  // MARK: - Inputs

  /// The arguments, made anew: leaves, computed tensors, views, the same tensor twice, overlapping ones.
  func arguments() throws -> CallArguments {
    var random = SeededRandom(inputSeed)
    var result = CallArguments([])
    for _ in 0..<1 + random.below(3) {
      let tensor = try Self.argument(&result, &random)
      result.tensors.append(tensor)
    }
    return result
  }

  private static func argument(_ known: inout CallArguments, _ random: inout SeededRandom) throws -> Tensor {
    if let earlier = known.tensors.first, random.chance(12) {
      if earlier.rank == 0 || earlier.shape[0] < 2 || random.chance(50) { return earlier }
      return try earlier.slice(0, from: random.below(2), to: earlier.shape[0] - random.below(2))
    }
    var shape = (0..<random.pick([0, 1, 1, 2, 2, 2, 3])).map { _ in random.pick([1, 2, 2, 3, 3, 4]) }
    if random.chance(3), !shape.isEmpty { shape[0] = 0 }
    let start = Double(random.below(40)) / 10
    let requiresGrad = random.chance(50)
    switch random.below(12) {
    case 0:
      return try Tensor((0..<shape.reduce(1, *)).map { Int64($0 * 7 % 5 - 2) }, shape: shape)
    case 1, 2:
      let leaf = try wave(shape.reversed(), from: start, requiresGrad: requiresGrad)
      known.leaves.append(leaf)
      return try leaf.permute(Array(shape.indices.reversed()))
    case 3:
      let leaf = try wave(shape.map { $0 * 2 + 1 }, from: start, requiresGrad: requiresGrad)
      known.leaves.append(leaf)
      return try shape.indices.reduce(leaf) { try $0.slice($1, from: 1, to: 1 + shape[$1] * 2, step: 2) }
    case 4, 5:
      let leaf = try wave(shape, from: start, requiresGrad: requiresGrad)
      known.leaves.append(leaf)
      return try leaf * 1.5
    case 6:
      let leaf = try wave(shape, from: start, requiresGrad: requiresGrad)
      known.leaves.append(leaf)
      return try leaf.expand([2] + shape)
    case 7: return try wave(shape, from: start).to(.float64).setting(requiresGrad)
    case 8: return try wave(shape.map { $0 + 1 }, from: start).narrowed(to: shape)
    default: return try wave(shape, from: start, requiresGrad: requiresGrad)
    }
  }

  // MARK: - Running

  /// The results on these arguments. What each step did is appended to `log`.
  func run(_ arguments: [Tensor], log: inout [String]) throws -> [Tensor] {
    log = arguments.enumerated().map {
      "v\($0) = \($1.dtype) \($1.shape) \($1.strides)\($1.requiresGrad ? $1.isLeaf ? " leaf" : " history" : "")"
    }
    var values = arguments
    for step in steps {
      var pool = ProgramStep(values: values, random: SeededRandom(step))
      do {
        let made = try pool.take()
        log.append("\(made.isEmpty ? "" : "v\(values.count) = ")\(pool.text)")
        values += made
      } catch let error as AutogradError {
        log.append("\(pool.text) threw")
        throw error
      } catch let error as OperatorError where error.code == .index {
        throw error  // compiled, only the run knows
      } catch { log.append("\(pool.text) threw") }
    }
    var random = SeededRandom(outputSeed)
    let outputs = (0..<1 + random.below(4)).map { _ in
      random.chance(60) ? values.count - 1 - random.below(min(3, values.count)) : random.below(values.count)
    }
    log.append("return " + outputs.map { "v\($0)" }.joined(separator: ", "))
    return outputs.map { values[$0] }
  }

  /// What compiled functions refuse to do, before they write anything; eager ones do it.
  static let refusals = [
    "share; pass them as views of one tensor", "only dense memory can be", "was then written to under autograd",
  ]

  /// How a compiled call differs from an eager one, with the program's text; nil where it does not.
  func difference(_ configuration: AOTConfiguration) -> String? {
    var (eagerLog, captureLog) = ([String](), [String]())
    do {
      let (mine, eager) = (try arguments(), try arguments())
      let expected = CallRecord(arguments: eager.tensors, leaves: eager.leaves) { try run($0, log: &eagerLog) }
      let function = aotFunction(configuration: configuration) { (tensors: [Tensor]) in
        try run(tensors, log: &captureLog)
      }
      let got = CallRecord(arguments: mine.tensors, leaves: mine.leaves) { try function($0) }
      // The message alone: looking up the line that a description tells takes long.
      if let error = got.failure?.error as? OperatorError,
        Self.refusals.contains(where: { error.message.contains($0) })
      {
        return got.facts.contains { $0.contains(" written") } ? "wrote, then threw \(error)" : nil
      }
      var lines = got.differences(from: expected, tolerance: 1e-4)
      if got.failure == nil, captureLog != eagerLog {
        lines.append("the closure did otherwise:\n" + captureLog.joined(separator: "\n"))
      }
      return lines.isEmpty ? nil : (eagerLog + lines).joined(separator: "\n")
    } catch { return "making the arguments threw \(error)" }
  }

  /// The shortest program found that still differs in the same kind of way, by leaving out steps.
  func shrunk(_ differs: (RandomProgram) -> Bool) -> RandomProgram {
    var best = self
    var index = 0
    while index < best.steps.count {
      var shorter = best
      shorter.steps.remove(at: index)
      if differs(shorter) { (best, index) = (shorter, 0) } else { index += 1 }
    }
    return best
  }
}

extension Tensor {
  fileprivate func setting(_ requiresGrad: Bool) throws -> Tensor { requiresGrad ? try requiringGrad() : self }

  fileprivate func narrowed(to shape: [Int]) throws -> Tensor {
    try shape.indices.reduce(self) { try $0.narrow($1, from: 1, length: shape[$1]) }
  }
}
