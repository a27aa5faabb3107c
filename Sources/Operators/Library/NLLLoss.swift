import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let classLosses = [
    nllLossForward, nllLossBackward, nllLoss, nllLoss2dForward, nllLoss2dBackward, nllLoss2d, nllLossND,
  ]

  /// -weight[t] · self[t] for the target class t of each row: [N, C] or [C] and int64 [N] or []. Rows whose target is
  /// `ignore_index` have no part. `mean` divides by the total of the weights, which is the second result.
  public static let nllLossForward: OperatorDefinition = forward(
    """
    nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) \
    -> (Tensor output, Tensor total_weight)
    """, check: checkRows
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
  .derivative(of: "self", saving: ["self", "target", "weight", "result1"]) { try gradient($0, nllLossBackward) }
  .auxiliary(results: 1)

  public static let nllLossBackward: OperatorDefinition = backward(
    """
    nll_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, \
    SymInt ignore_index, Tensor total_weight) -> Tensor
    """, check: checkRows
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
  .derivative(of: "grad_output", saving: ["target", "weight"]) { try secondGradient($0, nllLossForward) }
  .derivative(of: "self") { _ in nil }

  public static let nllLoss = OperatorDefinition(
    """
    nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor
    """, .composite { call in .reference(try nllLossForward.firstResult(call.arguments)) })

  /// As `nll_loss_forward`, for the pixels of images: [N, C, H, W] and [N, H, W].
  public static let nllLoss2dForward: OperatorDefinition = forward(
    """
    nll_loss2d_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) \
    -> (Tensor output, Tensor total_weight)
    """, check: checkImages
  )
  .derivative(of: "self", saving: ["self", "target", "weight", "result1"]) { try gradient($0, nllLoss2dBackward) }
  .auxiliary(results: 1)

  public static let nllLoss2dBackward: OperatorDefinition = backward(
    """
    nll_loss2d_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, \
    SymInt ignore_index, Tensor total_weight) -> Tensor
    """, check: checkImages
  )
  .derivative(of: "grad_output", saving: ["target", "weight"]) { try secondGradient($0, nllLoss2dForward) }
  .derivative(of: "self") { _ in nil }

  public static let nllLoss2d = OperatorDefinition(
    """
    nll_loss2d(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor
    """, .composite { call in .reference(try nllLoss2dForward.firstResult(call.arguments)) })

  public static let nllLossND = OperatorDefinition(
    """
    nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor
    """,
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      if input.rank <= 2 { return .reference(try nllLoss(call.arguments)) }
      guard target.sizes == input.sizes.removing(at: 1) else {
        throw OperatorError(
          .shape, call.target.name, "a target of shape \(target.sizes) does not fit an input of shape \(input.sizes)")
      }
      if input.rank == 4 { return .reference(try nllLoss2d(call.arguments)) }
      // As images of one row: [N, C, d…] → [N, C, 1, d₁ · d₂ · …]
      let count = input.sizes.dropFirst(2).reduce(1, *)
      let images = try input.reshape([input.sizes[0], input.sizes[1], 1, count])
      let loss = try nllLoss2d(
        [.reference(images), .reference(target.reshape([input.sizes[0], 1, count]))] + call.arguments.dropFirst(2))
      return .reference(try call.lossReduction(3) == .none ? loss.reshape(target.sizes) : loss)
    })

  // MARK: - Shared

  private typealias Check = @Sendable (_ call: OperatorCall, _ input: Tensor, _ target: Tensor) throws -> Void

  private static func forward(_ schema: String, check: @escaping Check) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: [.reduction, .checksElements],
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let target = try checkedTarget(call, inputAt: 0, check)
          let isPerRow = try call.lossReduction(3) == .none && input.rank > 1
          return [
            TensorMeta(dtype: input.dtype, sizes: isPerRow ? target.sizes : [], device: input.device),
            TensorMeta(dtype: input.dtype, sizes: [], device: input.device),
          ]
        },
        lowering: { call, results, builder in
          let rows = try NLLRows(call, inputAt: 0)
          let dtype = results[0].dtype.accumulator
          let loss = select(rows.isIgnored, 0, -(rows.weight(dtype) * .cast(dtype, .load(rows.inputLoad))))
          let reduction = try call.lossReduction(3)
          if reduction == .none {
            builder.append(
              .loop(
                LoopKernel(
                  outerSizes: rows.sizes, loads: rows.loads,
                  stores: [.init(results[0].access, .cast(results[0].dtype, loss))])))
            return builder.fill(results[1], 0)
          }
          let (total, totalWeight) = (ScalarExpression.reduced(0), ScalarExpression.reduced(1))
          let result = reduction == .mean ? total / totalWeight : total
          builder.append(
            .loop(
              LoopKernel(
                outerSizes: [], reducedSizes: rows.sizes, loads: rows.loads,
                reductions: [
                  .init(.sum, loss, dtype: dtype),
                  .init(.sum, select(rows.isIgnored, 0, rows.weight(dtype)), dtype: dtype),
                ],
                stores: [
                  .init(results[0].access, .cast(results[0].dtype, result), extent: .outer),
                  .init(results[1].access, .cast(results[1].dtype, totalWeight), extent: .outer),
                ])))
        }))
  }

  private static func backward(_ schema: String, check: @escaping Check) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .pointwise,
      .kernel(
        shape: { call in
          let input = try call.tensor(1)
          let target = try checkedTarget(call, inputAt: 1, check)
          let isPerRow = try call.lossReduction(4) == .none && input.rank > 1
          let (gradient, totalWeight) = (try call.tensor(0), try call.tensor(6))
          guard isPerRow ? gradient.sizes == target.sizes : gradient.elementCount == 1, totalWeight.elementCount == 1
          else {
            throw OperatorError(
              .shape, call.target.name,
              "a gradient of shape \(gradient.sizes) and a total weight of shape \(totalWeight.sizes) do not fit a loss"
                + " of that reduction")
          }
          return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device)]
        },
        lowering: { call, results, builder in
          let sizes = try call.reference(1).sizes
          let classes = classDimension(rank: sizes.count)
          func perRow(_ operand: Operand) -> LoopKernel.Access {
            var access = operand.access
            let isOne = operand.elementCount == 1
            access.strides = isOne ? sizes.map { _ in 0 } : operand.strides
            if !isOne { access.strides.insert(0, at: classes) }
            return access
          }
          let dtype = results[0].dtype.accumulator
          var loads = try [2, 0, 6].map { perRow(try call.reference($0)) }
          var factor = -ScalarExpression.cast(dtype, .load(1))
          if let weight = try call.optionalReference(3) {
            var access = weight.access
            access.strides = sizes.indices.map { $0 == classes ? weight.strides[0] : 0 }
            loads.append(access)
            factor = factor * .cast(dtype, .load(3))
          }
          if try call.lossReduction(4) == .mean { factor = factor / .cast(dtype, .load(2)) }
          let target = ScalarExpression.cast(.int64, .load(0))
          let ignored = ScalarExpression.constant(.int(try call.int(5)))
          let isTarget = ScalarExpression.binary(
            .bitwiseAnd, target .== .coordinate(classes), .binary(.notEqual, target, ignored))
          builder.append(
            .loop(
              LoopKernel(
                outerSizes: sizes, loads: loads,
                stores: [.init(results[0].access, .cast(results[0].dtype, select(isTarget, factor, 0)))])))
        }))
  }

  private static func gradient(_ d: DerivativeContext, _ backward: OperatorDefinition) throws -> Tensor {
    try backward(
      .reference(d.gradient), d["self"], d["target"], d["weight"], d["reduction"], d["ignore_index"],
      .reference(d.results[1]))
  }

  // The loss is linear in its input.
  private static func secondGradient(_ d: DerivativeContext, _ forward: OperatorDefinition) throws -> Tensor {
    try forward.firstResult(
      [.reference(d.gradient), d["target"], d["weight"], d["reduction"], d["ignore_index"]])
  }

  fileprivate static func classDimension(rank: Int) -> Int { rank == 1 ? 0 : 1 }

  @Sendable private static func checkRows(_ call: OperatorCall, _ input: Tensor, _ target: Tensor) throws {
    // One row may have its target with or without a dimension.
    guard (1...2).contains(input.rank),
      target.sizes == Array(input.sizes.dropLast()) || (input.rank == 1 && target.sizes == [1])
    else {
      throw OperatorError(
        .shape, call.target.name,
        "needs an input [N, C] or [C] and a target [N] or [], got \(input.sizes) and \(target.sizes)")
    }
  }

  @Sendable private static func checkImages(_ call: OperatorCall, _ input: Tensor, _ target: Tensor) throws {
    guard input.rank == 4, target.sizes == input.sizes.removing(at: 1) else {
      throw OperatorError(
        .shape, call.target.name,
        "needs an input [N, C, H, W] and a target [N, H, W], got \(input.sizes) and \(target.sizes)")
    }
    guard target.dtype == .int64 else {
      throw OperatorError(.dtype, call.target.name, "needs int64 class indices, got \(target.dtype)")
    }
  }

  /// The target classes of a call: its argument after the input.
  private static func checkedTarget(_ call: OperatorCall, inputAt position: Int, _ check: Check) throws -> Tensor {
    let (input, target) = (try call.tensor(position), try call.tensor(position + 1))
    try check(call, input, target)
    guard input.dtype.isFloatingPoint, target.dtype == .int64 || target.dtype == .uint8 else {
      throw OperatorError(
        .dtype, call.target.name,
        "needs a floating-point input and int64 class indices, got \(input.dtype) and \(target.dtype)")
    }
    if let weight = try call.optionalTensor(position + 2) {
      guard weight.sizes == [input.sizes[classDimension(rank: input.rank)]], weight.dtype == input.dtype else {
        throw OperatorError(
          .shape, call.target.name,
          "needs one weight of type \(input.dtype) per class of \(input.sizes), got \(weight.dtype) \(weight.sizes)")
      }
    }
    return target
  }
}

/// The rows of an input [N, C, …] or [C], each seen at its target class.
private struct NLLRows {
  let sizes: [Int]
  let loads: [LoopKernel.Access]
  let isIgnored: ScalarExpression
  private let isWeighted: Bool

  var inputLoad: Int { 1 }

  init(_ call: LoweringCall, inputAt position: Int) throws {
    let (input, target) = (try call.reference(position), try call.reference(position + 1))
    let classes = OperatorLibrary.classDimension(rank: input.sizes.count)
    var (rowSizes, rowStrides) = (input.sizes, input.strides)
    rowSizes.remove(at: classes)
    rowStrides.remove(at: classes)
    isIgnored = ScalarExpression.cast(.int64, .load(0)) .== .constant(.int(try call.int(position + 4)))
    // An ignored target may be no class at all.
    let chosen = select(isIgnored, 0, .cast(.int64, .load(0)))
    func gather(_ operand: Operand, along dimension: Int, strides: [Int]) -> LoopKernel.Access {
      .init(
        buffer: operand.buffer, dtype: operand.dtype, strides: strides, offset: operand.offset,
        indirections: [.init(index: chosen, size: operand.sizes[dimension], stride: operand.strides[dimension])])
    }
    var targets = target.access
    if rowSizes.isEmpty { targets.strides = [] }
    var loads = [targets, gather(input, along: classes, strides: rowStrides)]
    let weight = try call.optionalReference(position + 2)
    if let weight { loads.append(gather(weight, along: 0, strides: rowSizes.map { _ in 0 })) }
    isWeighted = weight != nil
    sizes = rowSizes
    self.loads = loads
  }

  func weight(_ dtype: DType) -> ScalarExpression { isWeighted ? .cast(dtype, .load(2)) : .cast(dtype, .constant(1)) }
}

extension [SymInt] {
  fileprivate func removing(at position: Int) -> [SymInt] { Array(self[..<position] + self[(position + 1)...]) }
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
