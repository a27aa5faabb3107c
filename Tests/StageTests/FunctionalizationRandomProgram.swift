import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Random numbers that are the same in every run.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}

/// A random function of tensors: views, writes in place and computations on a growing pool of values. What a step does depends
/// on shapes alone, so it is the same program on real and on fake tensors; a step that is refused is left out.
struct RandomProgram {
  struct Step {
    var kind: Int
    var a: Int
    var b: Int
    var c: Int
  }

  var shapes: [[Int]] = []
  /// Per input: 0 dense, 1 transposed, 2 part of a larger tensor.
  var inputLayouts: [Int] = []
  /// Per input: 0 requires no gradient, 1 a leaf that does, 2 has a history.
  var inputGradients: [Int] = []
  var steps: [Step] = []
  var outputs: [Int] = []

  init(seed: UInt64, stepCount: Int, withGradients: Bool) {
    var random = SplitMix64(seed: seed)
    let inputCount = Int.random(in: 1...3, using: &random)
    let choices = [[2, 3], [4], [3, 2], [6], [2, 2, 2], [1, 4], [3, 3]]
    for _ in 0..<inputCount {
      shapes.append(choices.randomElement(using: &random) ?? [4])
      inputLayouts.append(Int.random(in: 0...2, using: &random))
      inputGradients.append(withGradients ? Int.random(in: 0...2, using: &random) : 0)
    }
    for _ in 0..<stepCount {
      steps.append(
        Step(
          kind: Int.random(in: 0..<Self.kinds, using: &random), a: Int.random(in: 0...1000, using: &random),
          b: Int.random(in: 0...1000, using: &random), c: Int.random(in: 0...1000, using: &random)))
    }
    for _ in 0..<Int.random(in: 1...4, using: &random) { outputs.append(Int.random(in: 0...1000, using: &random)) }
  }

  /// Fresh inputs, and the leaves among what they were made of.
  func makeInputs() throws -> (inputs: [Tensor], leaves: [Tensor]) {
    var leaves: [Tensor] = []
    let inputs = try shapes.indices.map { index -> Tensor in
      let shape = shapes[index]
      let count = shape.reduce(1, *)
      var input = try Tensor((0..<count).map { Float(($0 * 7 + index * 3) % 11) / 11 - 0.4 }, shape: shape)
      switch inputLayouts[index] {
      case 1 where shape.count > 1: input = try input.transpose(0, 1).clone(memoryFormat: .contiguous).transpose(0, 1)
      case 2:
        let large = try Tensor.zeros([shape[0] + 1] + shape.dropFirst().map { $0 * 2 })
        var part = try large.slice(0, from: 1, to: nil)
        for dimension in shape.indices.dropFirst() { part = try part.slice(dimension, step: 2) }
        try part.copy_(input)
        input = part
      default: break
      }
      // Inputs are no views themselves.
      input = try Tensor(storage: input.storage, layout: input.layout, dtype: input.dtype)
      if inputGradients[index] == 0 { return input }
      let leaf = try input.requiringGrad()
      leaves.append(leaf)
      return inputGradients[index] == 1 ? leaf : try leaf * 1.0
    }
    return (inputs, leaves)
  }

  func callAsFunction(_ inputs: [Tensor]) throws -> [Value] {
    var pool = inputs
    for step in steps {
      let results = (try? Self.run(step, pool)) ?? []
      pool += results.filter { $0.elementCount <= 64 }
    }
    return outputs.map { $0 == 13 ? .none : $0 == 14 ? .int(3) : .reference(pool[$0 % pool.count]) }
  }

  static let kinds = 46

  private static func run(_ step: Step, _ pool: [Tensor]) throws -> [Tensor] {
    let x = pool[step.a % pool.count]
    let y = pool[step.b % pool.count]
    let dimension = x.rank == 0 ? 0 : step.c % x.rank
    switch step.kind {
    // Views
    case 0: return [try x.view([-1])]
    case 1: return [try x.view([2, -1])]
    case 2: return [try x.transpose(0, x.rank - 1)]
    case 3: return [try x.select(dimension, step.b % 2)]
    case 4: return [try x.slice(dimension, from: step.b % 2, to: nil, step: 1 + step.c % 2)]
    case 5: return [try x.unsqueeze(dimension)]
    case 6: return [try x.squeeze(dimension)]
    case 7: return [try x.permute(Array((0..<x.rank).reversed()))]
    case 8: return [try x.unsqueeze(0).expand([2] + x.sizes)]
    case 9: return try x.split(2, dimension: dimension)
    case 10: return [try x.diagonal()]
    case 11: return [try x.detach()]
    case 12: return [try x.unfold(dimension, size: 2, step: 2)]
    case 13: return x.isView ? [] : [try x.asStrided([2], [1])]
    case 14: return [try x.view(x.sizes)]
    case 15: return try x.unbind(dimension)
    case 16: return [try x.slice(dimension, from: 0, to: nil)]
    case 17: return x.requiresGrad ? [] : [try noGrad { try x.slice(dimension, from: 1, to: nil) }]
    case 18: return [try x.reshape([-1])]
    // Computations
    case 19: return [try x + y]
    case 20: return [try x * 0.5]
    case 21: return [try x.tanh()]
    case 22: return [try x.sum([dimension])]
    case 23: return [try x.clone()]
    case 24: return [try x.contiguous()]
    case 25: return [try x.converted(to: .float64)]
    case 26: return [try x * y]
    case 27: return [try Tensor([0.5, 0.25, -1, 2] as [Float]).view([2, 2])]
    case 28: return [try noGrad { try x.tanh() }]
    case 29: return [try x.converted(to: .int64)]
    // Writes
    case 30: return [try x.add_(0.25)]
    case 31: return [try x.mul_(0.5)]
    case 32: return [try x.add_(y)]
    case 33: return [try x.copy_(y)]
    case 34: return [try x.zero_()]
    case 35: return [try OperatorLibrary.tanh.inPlace(.reference(x))]
    case 36: return [try x.mul_(y)]
    case 37: return [try noGrad { try x.add_(0.125) }]
    case 38: return [try noGrad { try x.copy_(y) }]
    case 39: return [try x.detach().mul_(0.75)]
    case 40: return [try x.detach().add_(y)]
    case 41: return [try x[0].add_(1)]
    case 42: return [try x[0].copy_(y)]
    // Layouts
    case 43: return [try OperatorLibrary.transpose.inPlace(.reference(x), .int(0), .int(SymInt(x.rank - 1)))]
    case 44: return [try OperatorLibrary.unsqueeze.inPlace(.reference(x), .int(SymInt(dimension)))]
    default: return [try OperatorLibrary.squeezeDimension.inPlace(.reference(x), .int(SymInt(dimension)))]
    }
  }
}
