import AOTAutograd

/// One step of a random program: an operator on values that are there, chosen by their shapes.
struct ProgramStep {
  let values: [Tensor]
  var random: SeededRandom
  /// What the step does, in the library's own words.
  private(set) var text = ""

  init(values: [Tensor], random: SeededRandom) {
    self.values = values
    self.random = random
  }

  /// Does the step. Gives the tensors that it makes.
  mutating func take() throws -> [Tensor] {
    let index = random.chance(60) ? values.count - 1 - random.below(min(3, values.count)) : random.below(values.count)
    let x = values[index]
    text = "v\(index)"
    switch random.below(100) {
    case ..<14: return [try pointwise(x)]
    case ..<24: return [try combined(x)]
    case ..<34: return [try reduced(x)]
    case ..<40: return [try product(x)]
    case ..<62: return try viewed(x)
    case ..<78: return try written(x)
    case ..<82: return try noGradWritten(x)
    case ..<92: return [try rearranged(x)]
    case ..<96: return [try made()]
    default: return try differentiated(x)
    }
  }

  private mutating func say(_ what: String) { text += "." + what }

  /// A dimension of the tensor; 0 for a scalar.
  private mutating func dimension(_ x: Tensor) -> Int { random.below(x.rank) }

  private mutating func pointwise(_ x: Tensor) throws -> Tensor {
    let functions: [(String, (Tensor) throws -> Tensor)] = [
      ("tanh", { try $0.tanh() }), ("sin", { try $0.sin() }), ("sigmoid", { try $0.sigmoid() }),
      ("relu", { try $0.relu() }), ("neg", { try $0.neg() }), ("abs", { try $0.abs() }),
      ("square", { try $0.square() }), ("mul(0.5)", { try $0 * 0.5 }), ("add(1)", { try $0 + 1 }),
      ("rsub(2)", { try 2 - $0 }), ("gelu", { try $0.gelu() }), ("clamp", { try $0.clamp(min: -0.5, max: 0.7) }),
      ("tanh.exp", { try $0.tanh().exp() }), ("to(f64)", { try $0.to(.float64) }), ("to(f32)", { try $0.to(.float32) }),
      ("gt(0)", { try $0 .> 0 }), ("to(i64)", { try $0.to(.int64) }), ("softplus", { try $0.softplus() }),
      ("sign", { try $0.sign() }), ("div(3)", { try $0 / 3 }),
    ]
    let (name, function) = random.pick(functions)
    say(name)
    return try function(x)
  }

  /// A value that goes with a tensor of some shape.
  private mutating func partner(_ x: Tensor, intoX: Bool = false) -> Tensor? {
    let fitting = values.indices.filter { index in
      let (a, b) = (x.shape, values[index].shape)
      if intoX && b.count > a.count { return false }
      return zip(a.reversed(), b.reversed()).allSatisfy { $0 == $1 || $1 == 1 || (!intoX && $0 == 1) }
    }
    guard !fitting.isEmpty else { return nil }
    let index = random.pick(fitting)
    text += " v\(index) "
    return values[index]
  }

  private mutating func combined(_ x: Tensor) throws -> Tensor {
    guard let y = partner(x) else { return try pointwise(x) }
    let functions: [(String, (Tensor, Tensor) throws -> Tensor)] = [
      ("add", { try $0 + $1 }), ("mul", { try $0 * $1 }), ("sub", { try $0.sub($1, alpha: 2) }),
      ("maximum", { try $0.maximum($1) }), ("where", { try ($0 .> 0.1).selecting($0, $1) }),
      ("lerp", { try $0.lerp($1, weight: 0.3) }), ("lt", { try $0 .< $1 }),
      ("div", { try $0 / ($1 * $1 + 1) }), ("addcmul", { try $0.addcmul($1, $0) }),
    ]
    let (name, function) = random.pick(functions)
    say(name)
    return try function(x, y)
  }

  private mutating func reduced(_ x: Tensor) throws -> Tensor {
    let (d, keeps) = (dimension(x), random.chance(30))
    let dimensions: [Int]? = x.rank == 0 || random.chance(30) ? nil : [d]
    let functions: [(String, (Tensor) throws -> Tensor)] = [
      ("sum", { try $0.sum(dimensions, keepDimensions: keeps) }),
      ("mean", { try $0.mean(dimensions, keepDimensions: keeps) }),
      ("amax", { try $0.amax(dimensions ?? [], keepDimensions: keeps) }),
      ("softmax", { try $0.softmax(d) }), ("logSoftmax", { try $0.logSoftmax(d) }),
      ("cumsum", { try $0.cumsum(d) }), ("max.values", { try $0.max(d, keepDimensions: keeps).values }),
      ("argmax", { try $0.argmax(d, keepDimensions: keeps) }), ("sort", { try $0.sort(d).values }),
      ("logSumExp", { try $0.logSumExp([d]) }), ("tanh.prod", { try $0.tanh().prod(d) }),
    ]
    let (name, function) = random.pick(functions)
    say("\(name)(\(dimensions.map { "\($0)" } ?? "all"), d \(d), keep \(keeps))")
    return try function(x)
  }

  private mutating func product(_ x: Tensor) throws -> Tensor {
    let fitting = values.indices.filter {
      x.rank > 0 && values[$0].rank > 0 && values[$0].dtype == x.dtype
        && values[$0].shape[max(0, values[$0].rank - 2)] == x.shape[x.rank - 1] && (x.rank < 3 || values[$0].rank < 3)
    }
    if !fitting.isEmpty, random.chance(70) {
      let index = random.pick(fitting)
      say("matmul(v\(index))")
      return try x.matmul(values[index])
    }
    guard x.rank >= 2 else { return try reduced(x) }
    say("matmul(its transpose)")
    return try x.matmul(x.transpose(-1, -2))
  }

  private mutating func viewed(_ x: Tensor) throws -> [Tensor] {
    let d = dimension(x)
    let size = x.rank == 0 ? 1 : x.shape[d]
    switch random.below(14) {
    case 0, 1:
      let e = dimension(x)
      say("transpose(\(d), \(e))")
      return [try x.transpose(d, e)]
    case 2:
      say("view(-1)")
      return [try x.view([-1])]
    case 3:
      say("unsqueeze(\(d))")
      return [try x.unsqueeze(d)]
    case 4:
      say("squeeze")
      return [try x.squeeze()]
    case 5, 6:
      let i = random.below(size)
      say("select(\(d), \(i))")
      return [try x.select(d, i)]
    case 7, 8:
      let (start, end, step) = (random.below(size), 1 + random.below(size), 1 + random.below(2))
      say("slice(\(d), \(start), \(end), \(step))")
      return [try x.slice(d, from: start, to: Swift.max(end, start), step: step)]
    case 9:
      say("expand")
      return [try x.expand([2] + x.shape)]
    case 10:
      say("diagonal")
      return [try x.diagonal()]
    case 11:
      say("chunk(2, \(d))")
      return try x.chunk(2, dimension: d)
    case 12:
      say("detach")
      return [try x.detach()]
    default:
      let offset = random.chance(50) ? 0 : 1
      say("unfold(\(d), 1, 1) or alias")
      return [offset == 0 ? try x.alias() : try x.unfold(d, size: 1, step: 1)]
    }
  }

  private mutating func written(_ x: Tensor) throws -> [Tensor] {
    let d = dimension(x)
    switch random.below(16) {
    case 0, 1:
      say("add_(1)")
      try x.add_(1)
    case 2:
      say("mul_(0.5)")
      try x.mul_(0.5)
    case 3, 4, 5:
      if let y = partner(x, intoX: true) {
        say("add_")
        try x.add_(y)
      }
    case 6, 7:
      if let y = partner(x, intoX: true) {
        say("mul_")
        try x.mul_(y)
      }
    case 8, 9:
      // A copy of a tensor into itself counts as a write eagerly alone.
      if let y = partner(x, intoX: true), y.storage !== x.storage {
        say("copy_")
        try x.copy_(y)
      }
    case 10:
      say("neg_")
      try x.neg_()
    case 11:
      say("fill_(0.5)")
      try x.fill_(0.5)
    case 12:
      say("maskedFill_")
      try x.maskedFill_(x .> 0, 0.25)
    case 13:
      say("select(\(d), 0).mul_(3)")
      try x.select(d, 0).mul_(3)
    // That a layout changes counts as a write to the memory eagerly, which nobody else that shares it can tell compiled.
    // Nor may autograd refuse it, as it does for a view of a leaf.
    case _ where x.requiresGrad || values.contains { $0 !== x && $0.storage === x.storage }:
      say("mul_(2)")
      try x.mul_(2)
    case 14:
      say("transpose_(0, \(d))")
      try x.transpose_(0, d)
    default:
      say("unsqueeze_(\(d))")
      try x.unsqueeze_(d)
    }
    return []
  }

  private mutating func noGradWritten(_ x: Tensor) throws -> [Tensor] {
    if random.chance(30) {
      say("detach")
      return try written(x.detach())
    }
    if random.chance(30) {
      say("noGrad: ")
      return [try noGrad { try x * 2 }]
    }
    say("noGrad: ")
    return try noGrad { try written(x) }
  }

  private mutating func rearranged(_ x: Tensor) throws -> Tensor {
    let d = dimension(x)
    switch random.below(10) {
    case 0:
      say("cat itself, \(d)")
      return try .cat([x, x * 0.5], dimension: d)
    case 1:
      guard let y = partner(x, intoX: true), y.shape == x.shape else { return try x.clone() }
      say("stack")
      return try .stack([x, y], dimension: d)
    case 2:
      say("flip(\(d))")
      return try x.flip([d])
    case 3:
      say("roll(1, \(d))")
      return try x.roll([1], [d])
    case 4:
      say("repeated")
      return try x.repeated([2] + x.shape.map { _ in 1 })
    case 5:
      say("clone")
      return try x.clone()
    case 6:
      say("contiguous")
      return try x.contiguous()
    case 7:
      say("reshape(-1)")
      return try x.reshape([-1])
    // An index out of range is found when a compiled function runs, and not at all where its result is of no use.
    case 8 where x.rank == 0 || x.shape[d] > 0:
      say("indexSelect(\(d), [0, 0])")
      return try x.indexSelect(d, Tensor([0, 0] as [Int64]))
    default:
      say("pad(1, 1)")
      return try x.pad([1, 1])
    }
  }

  private mutating func made() throws -> Tensor {
    let shape = random.pick(values).shape
    text = "a new tensor of shape \(shape)"
    switch random.below(3) {
    case 0: return try .zeros(shape)
    case 1: return try .full(shape, 0.5)
    default: return try wave(shape, from: 0.3) * 1
    }
  }

  private mutating func differentiated(_ x: Tensor) throws -> [Tensor] {
    let index = random.below(values.count)
    // How arguments depend on each other, as views of one tensor do, is history from before the call.
    guard !values.contains(where: { $0 !== values[index] && $0.storage === values[index].storage }) else { return [] }
    say("grad with v\(index)")
    return try grad(of: [x.sum()], with: [values[index]], retainGraph: random.chance(50), allowUnused: true).compactMap(
      \.self)
  }
}
