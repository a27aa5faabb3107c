import GraphIR
import Operators
import TensorCore

/// Makes arguments for a call of an operator, from its schema: those that fit more often than not. Whether they do, a trial
/// tells.
struct ArgumentGenerator {
  typealias Name = TensorProgram.Name

  let target: OperatorDefinition
  /// The tensor that the call is mostly about: its first.
  let subject: (name: Name, tensor: Tensor)
  /// What else there is.
  let values: [(name: Name, tensor: Tensor)]
  /// The dimension that the call is mostly about.
  let dimension: Int
  private(set) var random: SplitMix
  /// Tensors to be made first, since there was none that fits.
  private(set) var literals: [TensorProgram.Step] = []
  private var nextName: Name

  var shape: [Int] { subject.tensor.shape }
  var rank: Int { shape.count }
  /// The size along `dimension`.
  var size: Int { shape.isEmpty ? 1 : shape[dimension] }
  /// The operator's name without what tells variants apart.
  var base: String { target.name.base.hasSuffix("_") ? String(target.name.base.dropLast()) : target.name.base }

  init(
    _ target: OperatorDefinition, of subject: (name: Name, tensor: Tensor),
    among values: [(name: Name, tensor: Tensor)],
    nextName: Name, random: SplitMix
  ) {
    self.target = target
    self.subject = subject
    self.values = values
    self.nextName = nextName
    self.random = random
    dimension = self.random.below(subject.tensor.rank)
  }

  mutating func arguments() -> [Argument<Name>] {
    var isFirst = true
    return target.schema.parameters.map { parameter in
      if isFirst, parameter.holdsTensors {
        isFirst = false
        if parameter.type == .tensor { return .reference(subject.name) }
      }
      if let value = parameter.defaultValue, random.chance(50) { return value.widened() }
      return argument(parameter.name, parameter.type)
    }
  }

  mutating func argument(_ name: String, _ type: SchemaType) -> Argument<Name> {
    switch type {
    case .optional(let type): random.chance(50) ? .none : argument(name, type)
    case .tensor: .reference(tensor(name))
    case .list(.tensor, _):
      .list((0..<1 + random.below(2)).map { _ in .reference(tensor(name)) } + [.reference(subject.name)])
    case .list(.optional(.tensor), _): .list([.reference(tensor("indices"))])
    case .list(.int, let count), .list(.symInt, let count):
      .list(integers(name, count: count).map { .int(SymInt($0)) })
    case .list(.bool, let count): .list((0..<(count ?? 2)).map { _ in .bool(random.chance(50)) })
    case .list(.float, let count): .list((0..<(count ?? 2)).map { _ in .double(positive()) })
    case .list(let element, let count): .list((0..<(count ?? 2)).map { _ in argument(name, element) })
    case .int, .symInt: .int(SymInt(integer(name)))
    case .float: .double(positive())
    case .scalar: scalar()
    case .bool, .symBool: .bool(random.chance(50))
    case .string: .string(string(name))
    case .dtype: .dtype(random.pick(DType.allCases))
    case .memoryFormat: .memoryFormat(random.pick([.contiguous, .preserve]))
    case .layout, .device, .generator, .anything: .none
    }
  }

  // MARK: - Numbers and words

  private mutating func positive() -> Double { random.pick([0.25, 0.5, 0.5, 1, 1, 2]) }

  private mutating func scalar() -> Argument<Name> {
    if subject.tensor.dtype.isFloatingPoint, random.chance(80) {
      return .double(random.pick([-1.5, -1, -0.5, 0.25, 0.5, 1, 2, 3]))
    }
    return .int(SymInt(random.pick(subject.tensor.dtype == .uint8 ? [1, 2, 3] : [-2, -1, 1, 2, 3])))
  }

  private mutating func string(_ name: String) -> String {
    switch name {
    case "rounding_mode": random.pick(["trunc", "floor"])
    case "reduce": random.pick(base == "scatter" ? ["add", "multiply"] : ["sum", "prod", "mean", "amax", "amin"])
    case "approximate": random.pick(["none", "tanh"])
    case "mode": random.pick(["bilinear", "nearest", "reflect", "constant"])
    case "indexing": random.pick(["ij", "xy"])
    case "equation": random.pick(["...->...", "ij->ji", "ij,jk->ik"])
    default: name
    }
  }

  mutating func integer(_ name: String) -> Int {
    switch name {
    case "dim", "dim0", "dim1", "dim2", "axis0", "axis1", "dimension", "start_dim", "end_dim", "source", "destination":
      let chosen = random.chance(60) ? dimension : random.below(max(rank, 1) + (base == "unsqueeze" ? 1 : 0))
      return random.chance(30) ? chosen - max(rank, 1) : chosen
    case "offset", "diagonal": return random.below(3) - 1
    case "index": return random.below(size) - (random.chance(30) ? size : 0)
    case "start": return random.below(size)
    case "end", "length": return random.below(size + 2)
    case "size", "k": return 1 + random.below(size)
    default: return random.below(3) + (random.chance(80) ? 1 : 0)
    }
  }

  mutating func integers(_ name: String, count: Int?) -> [Int] {
    switch (base, name) {
    case ("permute", _): return random.permutation(rank)
    case ("expand", _), ("broadcast_to", _):
      return (random.chance(40) ? [2] : []) + shape.map { $0 == 1 && random.chance(60) ? 2 : $0 }
    case ("as_strided", "size"), ("as_strided", "stride"): return [1 + random.below(2), 1 + random.below(2)]
    case ("unflatten", "sizes"): return random.chance(50) ? [size, 1] : [1, -1]
    case ("flip", _), ("roll", _): return [random.below(rank)]
    case (_, "shape"), (_, "size"): return reshaped()
    case (_, "split_sizes"), (_, "split_size"):
      let first = random.below(size + 1)
      return [first, size - first]
    case (_, "indices"): return [random.below(size + 1)]
    case (_, "repeats"): return shape.map { _ in 1 + random.below(2) }
    case (_, "pad"): return [random.below(2), random.below(2)]
    case (_, "normalized_shape"): return shape.suffix(1)
    case (_, "dim"), (_, "dims"), (_, "source"), (_, "destination"): return [dimension]
    default: return (0..<(count ?? 2)).map { _ in 1 + random.below(2) }
    }
  }

  /// Another shape of as many elements.
  private mutating func reshaped() -> [Int] {
    let count = shape.reduce(1, *)
    switch random.below(4) {
    case 0: return [-1]
    case 1: return shape + [1]
    case 2: return shape.reversed()
    default:
      let divisors = (1...max(count, 1)).filter { count % $0 == 0 }
      let first = random.pick(divisors)
      return [first, count / first]
    }
  }

  // MARK: - Tensors

  private mutating func tensor(_ name: String) -> Name {
    switch (base, name) {
    case (_, "mask"), (_, "condition"): return known(shape, .bool) ?? made(broadcast(shape), .bool)
    case ("gather", "index"), ("scatter", "index"), ("scatter_add", "index"), ("scatter_reduce", "index"),
      ("take_along_dim", "indices"):
      return indices(shape, along: dimension)
    case ("index", _), ("index_put", _), ("_unsafe_index", _), ("_unsafe_index_put", _):
      let count = shape.first ?? 1
      return indices([count], along: 0, below: count)
    case (_, "index"), (_, "indices"): return indices([size], along: 0)
    case (_, "batch1"): return made([2, 2, 2], subject.tensor.dtype)
    case (_, "batch2"): return made([2, 2, shape.last ?? 1], subject.tensor.dtype)
    case ("bmm", "mat2") where rank == 3: return made([shape[0], shape[2], 2], subject.tensor.dtype)
    case ("mm", "mat2"), ("matmul", "other"), ("linear", "input"):
      return made([shape.last ?? 1, 1 + random.below(3)], subject.tensor.dtype)
    case (_, "mat1"), (_, "mat"): return made([shape.first ?? 1, 2], subject.tensor.dtype)
    case (_, "mat2"): return made([2, shape.last ?? 1], subject.tensor.dtype)
    case (_, "vec"): return made([base == "addmv" ? 2 : shape.last ?? 1], subject.tensor.dtype)
    case (_, "vec1"), (_, "vec2"):
      return made([name == "vec1" ? shape.first ?? 1 : shape.last ?? 1], subject.tensor.dtype)
    case (_, "weight") where base.contains("norm"), (_, "bias") where base.contains("norm"):
      return made(shape.suffix(1), subject.tensor.dtype)
    default: break
    }
    let dtype = random.chance(85) ? subject.tensor.dtype : random.pick([.float32, .int64, .float64])
    if random.chance(65), let name = known(shape, dtype) { return name }
    return made(broadcast(shape), dtype)
  }

  /// A value that is broadcast to a shape, of a dtype.
  private mutating func known(_ shape: [Int], _ dtype: DType) -> Name? {
    let fitting = values.filter { value in
      value.tensor.dtype == dtype && value.tensor.rank <= shape.count
        && zip(value.tensor.shape.reversed(), shape.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
    }
    return fitting.isEmpty ? nil : random.pick(fitting).name
  }

  /// The shape, or one that is broadcast to it.
  private mutating func broadcast(_ shape: [Int]) -> [Int] {
    switch random.below(5) {
    case 0: return Array(shape.dropFirst())
    case 1: return shape.enumerated().map { $0 == dimension ? 1 : $1 }
    default: return shape
    }
  }

  private mutating func made(_ shape: some Sequence<Int>, _ dtype: DType) -> Name {
    add(random.literal(Array(shape), dtype))
  }

  /// Each place along a dimension once, in a random order: writes that meet in one place have no order.
  private mutating func indices(_ shape: [Int], along dimension: Int, below limit: Int? = nil) -> Name {
    let count = shape.reduce(1, *)
    let inner = shape.dropFirst(dimension + 1).reduce(1, *)
    let length = shape.isEmpty ? 1 : shape[dimension]
    let order = random.permutation(length)
    let elements = (0..<count).map { place in
      length == 0 || length > limit ?? size ? 0 : Double(order[(place / inner) % length])
    }
    return add(ProgramLiteral(dtype: .int64, shape: shape, elements: elements))
  }

  private mutating func add(_ literal: ProgramLiteral) -> Name {
    literals.append(.init(action: .literal(literal), results: [nextName]))
    nextName += 1
    return nextName - 1
  }
}

extension SplitMix {
  mutating func permutation(_ count: Int) -> [Int] { Array(0..<count).shuffled(using: &self) }

  /// Elements with few digits, so that sums and products of some of them are exact.
  mutating func literal(_ shape: [Int], _ dtype: DType) -> ProgramLiteral {
    let elements = (0..<shape.reduce(1, *)).map { _ -> Double in
      switch dtype {
      case .bool: Double(below(2))
      case .uint8: Double(below(5))
      case _ where dtype.isFloatingPoint: Double(below(17) - 8) / 4
      default: Double(below(7) - 3)
      }
    }
    return ProgramLiteral(dtype: dtype, shape: shape, elements: elements)
  }
}
