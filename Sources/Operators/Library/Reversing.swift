import GraphIR
import LoopIR
import TensorCore

// The elements of a tensor in another order along its dimensions.
extension OperatorLibrary {
  static let reversing = [flip, roll, rot90]

  /// The elements in reverse order along dimensions.
  public static let flip: OperatorDefinition = OperatorDefinition(
    "flip(Tensor self, int[] dims) -> Tensor",
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        _ = try call.distinctDimensions(1, rank: input.rank)
        return [TensorMeta(dtype: input.dtype, layout: input.layout.copied(), device: input.device)]
      },
      lowering: { call, results, builder in
        var input = try call.reference(0)
        for dimension in try call.distinctDimensions(1, rank: input.sizes.count) where !input.sizes.isEmpty {
          input.offset += (input.sizes[dimension] - 1) * input.strides[dimension]
          input.strides[dimension].negate()
        }
        builder.copy(input, to: results[0])
      })
  )
  .derivative { try flip(.reference($0.gradient), $0["dims"]) }

  /// The elements moved along dimensions, those that fall out at the end coming in at the start; without dimensions, along
  /// the flattened tensor.
  public static let roll: OperatorDefinition = OperatorDefinition.decomposed(
    "roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor"
  ) { call in
    let (input, shifts) = (try call.tensor(0), try call.ints(1))
    let dimensions = try call.ints(2)
    if dimensions.isEmpty && shifts.count == 1 {
      return .reference(try input.reshape([-1]).rolled(by: shifts[0], along: 0).reshape(input.sizes))
    }
    guard shifts.count == dimensions.count, !shifts.isEmpty else {
      throw OperatorError(
        .argument, call.target.name, "needs one shift per dimension, got \(shifts) for \(dimensions)")
    }
    var result = input
    for (shift, dimension) in zip(shifts, dimensions) {
      let dimension = try call.target.normalizedDimension(dimension, rank: input.rank, parameter: "dims")
      result = try result.rolled(by: shift, along: dimension)
    }
    return .reference(result === input ? try input.clone(memoryFormat: .contiguous) : result)
  }
  .derivative { d in try roll(.reference(d.gradient), Value(d.call.ints(1).map { 0 &- $0 }), d["dims"]) }

  /// Quarter turns in the plane of two dimensions, from the first toward the second.
  public static let rot90: OperatorDefinition = OperatorDefinition.decomposed(
    "rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor"
  ) { call in
    let input = try call.tensor(0)
    let (turns, dimensions) = (try call.int(1), try call.ints(2))
    guard input.rank >= 2, dimensions.count == 2 else {
      throw OperatorError(
        .argument, call.target.name, "turns two of at least two dimensions, got \(dimensions) for sizes \(input.sizes)")
    }
    let plane = try dimensions.map { try call.target.normalizedDimension($0, rank: input.rank, parameter: "dims") }
    guard plane[0] != plane[1] else {
      throw OperatorError(.argument, call.target.name, "the dimensions must differ, got \(dimensions)")
    }
    // A quarter turn is a transposition of what was mirrored.
    switch turns & 3 {
    case 1: return .reference(try input.flip([plane[1]]).transpose(plane[0], plane[1]))
    case 2: return .reference(try input.flip(plane))
    case 3: return .reference(try input.flip([plane[0]]).transpose(plane[0], plane[1]))
    default: return .reference(try input.clone(memoryFormat: .contiguous))
    }
  }
  .derivative { try rot90(.reference($0.gradient), Value(0 &- $0.call.int(1)), $0["dims"]) }
}

extension Tensor {
  fileprivate func rolled(by shift: Int, along dimension: Int) throws -> Tensor {
    let size = rank == 0 ? 1 : shape[dimension]
    let shift = size == 0 ? 0 : (shift % size + size) % size
    if shift == 0 { return self }
    let cut = size - shift
    return try Tensor.cat(
      [slice(dimension, from: cut, to: size), slice(dimension, from: 0, to: cut)], dimension: dimension)
  }

  /// The elements in reverse order along dimensions.
  public func flip(_ dimensions: [Int]) throws -> Tensor {
    try OperatorLibrary.flip(.reference(self), Value(dimensions))
  }

  /// The elements moved by `shifts` along dimensions, around the end.
  public func roll(_ shifts: [Int], _ dimensions: [Int]) throws -> Tensor {
    try OperatorLibrary.roll(.reference(self), Value(shifts), Value(dimensions))
  }

  /// `turns` quarter turns in the plane of two dimensions, from the first toward the second.
  public func rot90(_ turns: Int = 1, _ dimensions: [Int] = [0, 1]) throws -> Tensor {
    try OperatorLibrary.rot90(.reference(self), Value(turns), Value(dimensions))
  }
}
