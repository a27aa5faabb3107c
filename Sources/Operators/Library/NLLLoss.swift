import GraphIR
import LoopIR
import TensorCore

/// What a loss makes of its terms. The raw value is ATen's `reduction` argument.
public enum LossReduction: Int, Hashable, Sendable { case none, mean, sum }

extension OperatorLibrary {
  static let classLosses = [nllLossForward, nllLossBackward, nllLoss, nllLossND]

  /// -weight[t] · self[t] for the target class t of each row: [N, C] or [C] and int64 [N] or []. Rows whose target is
  /// `ignore_index` have no part. `mean` divides by the total of the weights, which is the second result.
  public static let nllLossForward: OperatorDefinition = OperatorDefinition(
    """
    nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) \
    -> (Tensor output, Tensor total_weight)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let target = try checkedTarget(call, input: input)
        let isPerRow = try call.lossReduction(3) == .none && input.rank == 2
        return [
          TensorMeta(dtype: input.dtype, sizes: isPerRow ? target.sizes : [], device: input.device),
          TensorMeta(dtype: input.dtype, sizes: [], device: input.device),
        ]
      },
      lowering: { call, results, builder in
        let rows = try NLLRows(call, inputAt: 0)
        let dtype = rows.input.dtype.accumulator
        let loss = -(rows.weight(dtype) * .cast(dtype, .load(rows.inputLoad)))
        let reduction = try call.lossReduction(3)
        if reduction == .none {
          builder.append(
            .loop(
              LoopKernel(
                outerSizes: [rows.count], loads: rows.loads,
                stores: [.init(rows.access(results[0]), .cast(results[0].dtype, select(rows.isIgnored, 0, loss)))])))
          return builder.fill(results[1], 0)
        }
        let total = ScalarExpression.reduced(1)
        builder.append(
          .loop(
            LoopKernel(
              outerSizes: [], reducedSizes: [rows.count], loads: rows.loads,
              reductions: [
                .init(.sum, select(rows.isIgnored, 0, loss), dtype: dtype),
                .init(.sum, select(rows.isIgnored, 0, rows.weight(dtype)), dtype: dtype),
              ],
              stores: [
                .init(
                  results[0].access,
                  .cast(results[0].dtype, reduction == .mean ? .reduced(0) / total : .reduced(0)), extent: .outer),
                .init(results[1].access, .cast(results[1].dtype, total), extent: .outer),
              ])))
      })
  )
  .decomposition { call in
    let input = try call.tensor(0).widened()
    let rows = try input.rank == 1 ? input.unsqueeze(0) : input
    let target = try call.tensor(1).reshape([-1])
    let isCounted = try target.ne(call.int(4))
    let index = try isCounted.selecting(target, 0)
    let weights = try call.optionalTensor(2).map { try isCounted.selecting($0.widened().indexSelect(0, index), 0.0) }
    let share = try weights ?? isCounted.converted(to: rows.dtype)
    let picked = try rows.gather(1, index.unsqueeze(1)).squeeze(1)
    let losses = try isCounted.selecting(-(picked * share), 0.0)
    let reduction = try call.lossReduction(3)
    if reduction == .none {
      let output = try losses.reshape(input.rank == 1 ? [] : call.tensor(1).sizes)
      return .tuple([.reference(output), .reference(try input.newZeros([Int]()))])
    }
    let total = try share.sum()
    return .tuple([.reference(try reduction == .mean ? losses.sum() / total : losses.sum()), .reference(total)])
  }
  .derivative(of: "self", saving: ["self", "target", "weight", "result1"]) { d in
    try nllLossBackward(
      .reference(d.gradient), d["self"], d["target"], d["weight"], d["reduction"], d["ignore_index"],
      .reference(d.results[1]))
  }
  .auxiliary(results: 1)

  public static let nllLossBackward: OperatorDefinition = OperatorDefinition(
    """
    nll_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, \
    SymInt ignore_index, Tensor total_weight) -> Tensor
    """, traits: .pointwise,
    .kernel(
      shape: { call in
        let input = try call.tensor(1)
        let target = try checkedTarget(call, input: input)
        let isPerRow = try call.lossReduction(4) == .none && input.rank == 2
        let gradient = try call.tensor(0)
        guard gradient.sizes == (isPerRow ? target.sizes : []) || (!isPerRow && gradient.elementCount == 1) else {
          throw OperatorError(
            .shape, call.target.name, "a gradient of shape \(gradient.sizes) does not fit a loss of that reduction")
        }
        return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let sizes = try call.reference(1).sizes
        let (rowCount, classCount) = sizes.count == 2 ? (sizes[0], sizes[1]) : (1, sizes[0])
        let space = [rowCount, classCount]
        let reduction = try call.lossReduction(4)
        func perRow(_ operand: Operand) -> LoopKernel.Access {
          .init(
            buffer: operand.buffer, dtype: operand.dtype, strides: [operand.strides.last ?? 0, 0],
            offset: operand.offset)
        }
        let gradient = try call.reference(0)
        let dtype = results[0].dtype.accumulator
        var loads = [perRow(try call.reference(2)), perRow(gradient), perRow(try call.reference(6))]
        if gradient.sizes.isEmpty || gradient.elementCount == 1 { loads[1].strides = [0, 0] }
        var factor = -ScalarExpression.cast(dtype, .load(1))
        if let weight = try call.optionalReference(3) {
          loads.append(
            .init(buffer: weight.buffer, dtype: weight.dtype, strides: [0, weight.strides[0]], offset: weight.offset))
          factor = factor * .cast(dtype, .load(3))
        }
        if reduction == .mean { factor = factor / .cast(dtype, .load(2)) }
        let target = ScalarExpression.cast(.int64, .load(0))
        let ignored = ScalarExpression.constant(.int(try call.int(5)))
        let isTarget = ScalarExpression.binary(
          .bitwiseAnd, target .== .coordinate(1), .binary(.notEqual, target, ignored))
        let output = results[0]
        let strides = sizes.count == 2 ? output.strides : [0] + output.strides
        builder.append(
          .loop(
            LoopKernel(
              outerSizes: space, loads: loads,
              stores: [
                .init(
                  .init(buffer: output.buffer, dtype: output.dtype, strides: strides, offset: output.offset),
                  .cast(output.dtype, select(isTarget, factor, 0)))
              ])))
      })
  )
  .decomposition { call in
    let input = try call.tensor(1)
    let target = try call.tensor(2).reshape([-1, 1])
    let places = try Tensor.arange(input.shape[input.rank - 1], device: input.device)
    let isTarget = try target.eq(places).logicalAnd(target.ne(call.int(5)))
    var factor = try -call.tensor(0).widened().reshape([-1, 1])
    if let weight = try call.optionalTensor(3) { factor = try factor * weight.widened() }
    if try call.lossReduction(4) == .mean { factor = try factor / call.tensor(6).widened() }
    return .reference(try isTarget.selecting(factor, 0.0).reshape(input.sizes))
  }
  .derivative(of: "grad_output", saving: ["target", "weight"]) { d in
    let loss = try nllLossForward.several(
      .reference(d.gradient), d["target"], d["weight"], d["reduction"], d["ignore_index"])[0]
    return loss
  }
  .derivative(of: "self") { _ in nil }

  public static let nllLoss = OperatorDefinition(
    """
    nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor
    """, .composite { call in .reference(try nllLossForward.firstResult(call.arguments)) })

  public static let nllLossND = OperatorDefinition(
    """
    nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor
    """,
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      guard input.rank > 2 else { return .reference(try nllLoss.firstResult(call.arguments)) }
      guard target.sizes == input.sizes.removing(at: 1) else {
        throw OperatorError(
          .shape, call.target.name, "a target of shape \(target.sizes) does not fit an input of shape \(input.sizes)")
      }
      // As rows: [N, C, d…] → [N · d…, C]
      let order = [0] + Array(2..<input.rank) + [1]
      let rows = try input.permute(order).reshape([-1, input.sizes[1]])
      let loss = try nllLoss.firstResult(
        [.reference(rows), .reference(target.reshape([-1]))] + call.arguments.dropFirst(2))
      return .reference(try call.lossReduction(3) == .none ? loss.reshape(target.sizes) : loss)
    })

  /// The target classes of a call whose input is [N, C] or [C].
  private static func checkedTarget(_ call: OperatorCall, input: Tensor) throws -> Tensor {
    guard let position = call.target.schema.index(of: "target"),
      let weightPosition = call.target.schema.index(of: "weight")
    else { preconditionFailure("\(call.target.name) has no target and weight") }
    let target = try call.tensor(position)
    guard (1...2).contains(input.rank), target.sizes == Array(input.sizes.dropLast()) else {
      throw OperatorError(
        .shape, call.target.name,
        "needs an input [N, C] or [C] and a target [N] or [], got \(input.sizes) and \(target.sizes)")
    }
    guard input.dtype.isFloatingPoint, target.dtype == .int64 || target.dtype == .uint8 else {
      throw OperatorError(
        .dtype, call.target.name,
        "needs a floating-point input and int64 class indices, got \(input.dtype) and \(target.dtype)")
    }
    if let weight = try call.optionalTensor(weightPosition) {
      guard weight.sizes == [input.sizes[input.rank - 1]], weight.dtype == input.dtype else {
        throw OperatorError(
          .shape, call.target.name,
          "needs one weight of type \(input.dtype) per class of \(input.sizes), got \(weight.dtype) \(weight.sizes)")
      }
    }
    return target
  }
}

/// The rows of an input [N, C], each seen at its target class.
private struct NLLRows {
  let input: Operand
  let count: Int
  let loads: [LoopKernel.Access]
  let isIgnored: ScalarExpression
  private let isWeighted: Bool

  var inputLoad: Int { 1 }

  init(_ call: LoweringCall, inputAt position: Int) throws {
    let target = try call.reference(position + 1)
    input = try call.reference(position)
    count = target.sizes.first ?? 1
    isIgnored = ScalarExpression.cast(.int64, .load(0)) .== .constant(.int(try call.int(position + 4)))
    // An ignored target may be no class at all.
    let chosen = select(isIgnored, 0, .cast(.int64, .load(0)))
    func gather(_ operand: Operand, rowStride: Int) -> LoopKernel.Access {
      let stride = operand.strides[operand.strides.count - 1]
      let size = operand.sizes[operand.sizes.count - 1]
      return .init(
        buffer: operand.buffer, dtype: operand.dtype, strides: [rowStride], offset: operand.offset,
        indirections: [.init(index: chosen, size: size, stride: stride)])
    }
    var loads = [
      LoopKernel.Access(
        buffer: target.buffer, dtype: target.dtype, strides: [target.strides.first ?? 0], offset: target.offset),
      gather(input, rowStride: input.sizes.count == 2 ? input.strides[0] : 0),
    ]
    let weight = try call.optionalReference(position + 2)
    if let weight { loads.append(gather(weight, rowStride: 0)) }
    isWeighted = weight != nil
    self.loads = loads
  }

  func weight(_ dtype: DType) -> ScalarExpression { isWeighted ? .cast(dtype, .load(2)) : .cast(dtype, .constant(1)) }

  func access(_ output: Operand) -> LoopKernel.Access {
    .init(buffer: output.buffer, dtype: output.dtype, strides: [output.strides.first ?? 0], offset: output.offset)
  }
}

extension [SymInt] {
  fileprivate func removing(at position: Int) -> [SymInt] { Array(self[..<position] + self[(position + 1)...]) }
}

extension Call {
  func lossReduction(_ position: Int) throws -> LossReduction {
    guard let reduction = LossReduction(rawValue: try int(position)) else {
      throw mismatch(position, "0 (none), 1 (mean) or 2 (sum)")
    }
    return reduction
  }
}

extension OperatorDefinition {
  /// The first result of a call that may give several.
  func firstResult(_ arguments: [Value]) throws -> Tensor {
    let result = try call(arguments)
    guard let tensor = result.reference ?? result.elements?.first?.reference else {
      throw OperatorError(.argument, name, "gives no tensor")
    }
    return tensor
  }
}

extension Tensor {
  /// The negative log-likelihood loss of log-probabilities [N, C] for class indices (int64) [N].
  public func nllLoss(
    _ target: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean, ignoreIndex: Int = -100
  ) throws -> Tensor {
    try OperatorLibrary.nllLoss(
      .reference(self), .reference(target), weight.map { .reference($0) } ?? .none, Value(reduction.rawValue),
      Value(ignoreIndex))
  }
}
