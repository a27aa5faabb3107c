import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

/// First and second derivatives of the operator library against finite differences, at points where it is smooth.
final class OperatorGradientTests: XCTestCase {
  private typealias Program = ([Tensor]) throws -> Tensor

  private let matrix = [0.31, -0.82, 1.23, 0.47, -1.61, 0.72]

  private func x() throws -> Tensor { try leaf(matrix, [2, 3]) }
  private func y() throws -> Tensor { try leaf([0.93, 0.55, -0.74, 1.41, 0.28, -1.15], [2, 3]) }
  private func positive() throws -> Tensor { try leaf([0.31, 0.82, 1.23, 0.47, 1.61, 0.72], [2, 3]) }
  private func row() throws -> Tensor { try leaf([0.65, -0.35, 1.05]) }

  private func check(_ inputs: [Tensor], _ programs: [(String, Program)], second: Bool = true) {
    for (name, program) in programs {
      do {
        try gradcheck(inputs) { [try program($0)] }
        if second { try gradgradcheck(inputs) { [try program($0)] } }
      } catch { XCTFail("\(name): \(error)") }
    }
  }

  func testElementwise() throws {
    check(
      [try x()],
      [
        ("neg", { try $0[0].neg() }), ("abs", { try $0[0].abs() }), ("exp", { try $0[0].exp() }),
        ("exp2", { try $0[0].exp2() }), ("expm1", { try $0[0].expm1() }), ("sin", { try $0[0].sin() }),
        ("cos", { try $0[0].cos() }), ("tan", { try $0[0].tan() }), ("sinh", { try $0[0].sinh() }),
        ("cosh", { try $0[0].cosh() }), ("tanh", { try $0[0].tanh() }), ("erf", { try $0[0].erf() }),
        ("erfc", { try $0[0].erfc() }), ("atan", { try $0[0].atan() }), ("asinh", { try $0[0].asinh() }),
        ("sinc", { try $0[0].sinc() }), ("lgamma", { try $0[0].lgamma() }), ("digamma", { try $0[0].digamma() }),
        ("polygamma", { try $0[0].polygamma(2) }), ("asin", { try ($0[0] / 2).asin() }),
        ("acos", { try ($0[0] / 2).acos() }), ("atanh", { try ($0[0] / 2).atanh() }),
        ("erfinv", { try ($0[0] / 2).erfinv() }), ("copysign", { try $0[0].copysign(-1) * $0[0] }),
        ("sigmoid", { try $0[0].sigmoid() }), ("relu", { try $0[0].relu() }), ("gelu", { try $0[0].gelu() }),
        ("gelu tanh", { try $0[0].gelu(approximate: .tanh) }), ("silu", { try $0[0].silu() }),
        ("elu", { try $0[0].elu() }), ("softplus", { try $0[0].softplus() }),
        ("leakyRelu", { try $0[0].leakyRelu() }), ("hardtanh", { try $0[0].hardtanh() }),
        ("hardswish", { try $0[0].hardswish() }), ("square", { try $0[0].square() }),
        ("reciprocal", { try $0[0].reciprocal() }), ("pow 3", { try $0[0].pow(3) }),
        ("clamp", { try $0[0].clamp(min: -1, max: 1) }), ("round", { try $0[0].round() * $0[0] }),
        ("rsub", { try 2 - $0[0] }), ("number / x", { try 2 / $0[0] }),
        ("add alpha", { try $0[0].add($0[0], alpha: 3) }),
      ])
    check(
      [try positive()],
      [
        ("log", { try $0[0].log() }), ("log1p", { try $0[0].log1p() }), ("log2", { try $0[0].log2() }),
        ("log10", { try $0[0].log10() }), ("sqrt", { try $0[0].sqrt() }), ("rsqrt", { try $0[0].rsqrt() }),
        ("pow 0.5", { try $0[0].pow(0.5) }), ("acosh", { try ($0[0] + 1).acosh() }),
      ])
  }

  func testElementwiseOfTwo() throws {
    let programs: [(String, Program)] = [
      ("add", { try $0[0] + $0[1] }), ("sub", { try $0[0] - $0[1] }), ("mul", { try $0[0] * $0[1] }),
      ("div", { try $0[0] / $0[1] }), ("maximum", { try $0[0].maximum($0[1]) }),
      ("minimum", { try $0[0].minimum($0[1]) }), ("atan2", { try $0[0].atan2($0[1]) }),
      ("hypot", { try $0[0].hypot($0[1]) }), ("copysign", { try $0[0].copysign($0[1]) * $0[1] }),
      ("where", { try $0[0].gt(0).selecting($0[0] * 2, $0[1]) }),
      ("lerp", { try $0[0].lerp($0[1], weight: 0.3) }), ("addcmul", { try $0[0].addcmul($0[0], $0[1], value: 2) }),
      ("addcdiv", { try $0[0].addcdiv($0[0], $0[1], value: 2) }),
      ("mse", { try $0[0].mseLoss($0[1].expand($0[0].sizes)) }),
    ]
    check([try x(), try y()], programs)
    check([try x(), try row()], programs)
    check([try positive(), try y()], [("pow", { try $0[0].pow($0[1]) })])
  }

  func testReductions() throws {
    check(
      [try x()],
      [
        ("sum", { try $0[0].sum() }), ("sum of a dimension", { try $0[0].sum([1], keepDimensions: true) }),
        ("mean", { try $0[0].mean([0]) }), ("var", { try $0[0].var([1]) }), ("std", { try $0[0].std([1]) }),
        ("amax", { try $0[0].amax([1]) }), ("amin", { try $0[0].amin([0]) }), ("max", { try $0[0].max(1).values }),
        ("logsumexp", { try $0[0].logSumExp([1]) }), ("softmax", { try $0[0].softmax(1) }),
        ("log softmax", { try $0[0].logSoftmax(0) }), ("cumsum", { try $0[0].cumsum(1) }),
      ])
  }

  func testViewsAndJoins() throws {
    check(
      [try x()],
      [
        ("view", { try $0[0].view([3, 2]) }), ("transpose", { try $0[0].t() }),
        ("permute", { try $0[0].unsqueeze(0).permute([2, 0, 1]) }), ("expand", { try $0[0].expand([2, 2, 3]) }),
        ("select", { try $0[0].select(1, 1) }), ("slice", { try $0[0].slice(1, from: 0, to: 3, step: 2) }),
        ("squeeze", { try $0[0].unsqueeze(1).squeeze(1) }), ("diagonal", { try $0[0].diagonal() }),
        ("narrow", { try $0[0].narrow(1, from: 1, length: 2) }), ("unfold", { try $0[0].unfold(1, size: 2, step: 1) }),
        ("as strided", { try $0[0].asStrided([2, 2], [1, 2]) }), ("flatten", { try $0[0].t().flatten() }),
        (
          "unbind",
          {
            let parts = try $0[0].unbind(); return try parts[0] * parts[1]
          }
        ),
        (
          "split",
          {
            let parts = try $0[0].split(2, dimension: 1); return try parts[0] * parts[1]
          }
        ),
        ("cat", { try Tensor.cat([$0[0], $0[0] * 2], dimension: 1) }),
        ("stack", { try Tensor.stack([$0[0], $0[0]]) }), ("flip", { try $0[0].flip([1]) }),
        ("roll", { try $0[0].roll([1], [0]) }), ("repeat", { try $0[0].repeated([2, 2]) }),
        ("tril", { try $0[0].tril() }), ("pad", { try $0[0].pad([1, 0, 0, 2]) }),
        ("to float64 and back", { try $0[0].t().contiguous() }),
      ])
    check(
      [try x(), try row()],
      [
        ("select scatter", { try $0[0].selectScatter($0[1], 0, 1) }),
        ("masked fill", { try $0[0].maskedFill($0[0].gt(0), 0) }),
      ])
  }

  func testIndexing() throws {
    let index = try Tensor([0, 2, 2, 1], shape: [2, 2])
    let rows = try Tensor([1, 0, 1])
    check(
      [try x()],
      [
        ("gather", { try $0[0].gather(1, index) }), ("index select", { try $0[0].indexSelect(0, rows) }),
        ("index", { try $0[0].index([rows]) }), ("embedding", { try $0[0].embedding(rows) }),
        ("scatter add", { try $0[0].scatterAdd(1, index, $0[0].slice(1, from: 0, to: 2)) }),
        ("index put", { try $0[0].indexPut([rows], $0[0].select(0, 0).expand([3, 3]), accumulate: true) }),
        ("index add", { try $0[0].indexAdd(0, rows, $0[0].index([rows])) }),
      ])
  }

  func testMatrixProducts() throws {
    let bias = try row()
    let batch = try leaf((0..<12).map { sin(Double($0)) }, [2, 2, 3])
    check(
      [try x(), try y(), bias],
      [
        ("mm", { try $0[0].mm($0[1].t()) }), ("matmul", { try $0[0].matmul($0[1].t()) }),
        ("mv", { try $0[0].mv($0[2]) }), ("dot", { try $0[0].select(0, 0).dot($0[2]) }),
        ("addmm", { try $0[2].addmm($0[0].t(), $0[1], beta: 2, alpha: 3) }),
        ("linear", { try $0[0].linear($0[1], bias: $0[2].slice(0, from: 0, to: 2)) }),
        ("outer", { try $0[0].select(0, 1).outer($0[2]) }),
      ])
    check(
      [batch, try x()],
      [
        ("bmm", { try $0[0].bmm($0[0].transpose(1, 2)) }), ("batched matmul", { try $0[0].matmul($0[1].t()) }),
        ("attention", { try $0[0].scaledDotProductAttention($0[0], $0[0] * 2) }),
      ])
  }

  func testNormalizationAndLosses() throws {
    let target = try Tensor([2, 0])
    check(
      [try x(), try row()],
      [
        ("layer norm", { try $0[0].layerNorm([3], weight: $0[1], bias: $0[1]) }),
        ("cross entropy", { try $0[0].crossEntropyLoss(target) }),
        ("nll", { try $0[0].logSoftmax(1).nllLoss(target) }),
        ("l1", { try $0[0].l1Loss($0[1].expand($0[0].sizes)) }),
        ("bce", { try $0[0].binaryCrossEntropyWithLogits($0[1].sigmoid().expand($0[0].sizes)) }),
      ])
  }

  func testWindows() throws {
    let image = try leaf((0..<32).map { sin(Double($0) * 1.3) }, [1, 2, 4, 4])
    let weight = try leaf((0..<36).map { cos(Double($0) * 0.7) }, [2, 2, 3, 3])
    let bias = try leaf([0.2, -0.1])
    var options = GradientCheckOptions()
    options.usesRandomDirection = true
    let programs: [(String, Program)] = [
      ("conv2d", { try $0[0].conv2d($0[1], bias: $0[2], padding: 1) }),
      ("strided conv2d", { try $0[0].conv2d($0[1], bias: $0[2], stride: 2, padding: 1) }),
      ("max pool", { try $0[0].maxPool2d(2) }), ("average pool", { try $0[0].avgPool2d(2) }),
      ("adaptive average pool", { try $0[0].adaptiveAvgPool2d(3, 3) }),
      (
        "batch norm with known statistics",
        {
          try $0[0].batchNorm(
            weight: $0[2], bias: $0[2], runningMean: constant([0.1, 0.2]), runningVariance: constant([0.9, 1.1]),
            isTraining: false)
        }
      ),
      ("batch norm", { try $0[0].batchNorm(weight: $0[2], bias: $0[2], isTraining: true) }),
    ]
    let (mean, variance) = (try constant([0.1, 0.2]), try constant([0.9, 1.1]))
    let y = try image.batchNorm(
      weight: weight.flatten().slice(0, from: 0, to: 2), runningMean: mean, runningVariance: variance,
      isTraining: true)
    XCTAssertFalse(mean.requiresGrad)
    try y.square().sum().backward()
    XCTAssertNotNil(weight.grad)
    for (name, program) in programs {
      do {
        try gradcheck([image, weight, bias], options) { [try program($0)] }
        try gradgradcheck([image, weight, bias], options) { [try program($0)] }
      } catch { XCTFail("\(name): \(error)") }
    }
  }

  func testWritesInPlace() throws {
    check(
      [try positive(), try y()],
      [
        ("add_", { try ($0[0] * 1).add_($0[1], alpha: 2) }), ("mul_", { try ($0[0] * 1).mul_($0[1]) }),
        ("div_", { try ($0[0] * 1).div_($0[1]) }), ("tanh_", { try ($0[0] * 1).tanh_() }),
        ("exp_", { try ($0[0] * 1).exp_() }), ("relu_", { try ($0[1] * 1).relu_() }),
        ("sigmoid_", { try ($0[0] * 1).sigmoid_() }), ("sqrt_", { try ($0[0] * 1).sqrt_() }),
        ("zero_", { try ($0[0] * 1).zero_().add_($0[1]) }), ("fill_", { try ($0[0] * 1).fill_(2).mul_($0[1]) }),
        ("copy_", { try ($0[0] * 1).copy_($0[1]) }),
      ])
  }

  func testScatters() throws {
    let index = try Tensor([0, 2, 2, 1, 1, 1], shape: [2, 3])
    let vector = try Tensor([1, 1])
    let reductions = ["sum", "prod", "mean", "amax", "amin"]
    check(
      [try x(), try y()],
      reductions.flatMap { reduce -> [(String, Program)] in
        [true, false].map { includeSelf in
          (
            "scatter_reduce \(reduce)",
            { try $0[0].scatterReduce(1, index, $0[1], reduce: reduce, includeSelf: includeSelf) }
          )
        }
      })
    check(
      [try x(), try y()],
      reductions.dropFirst().flatMap { reduce -> [(String, Program)] in
        [true, false].map { includeSelf in
          (
            "index_reduce \(reduce)",
            { try $0[0].indexReduce(0, vector, $0[1], reduce: reduce, includeSelf: includeSelf) }
          )
        }
      })
    let mask = try Tensor([true, false, true])
    check(
      [try x(), try y()],
      [
        ("put", { try ($0[0] * $0[0]).put(Tensor([0, -1]), $0[1].select(0, 0).slice(0, to: 2)) }),
        ("put adding", { try $0[0].put(index, $0[1] * $0[1], accumulate: true) }),
        ("masked_scatter", { try ($0[0] * $0[0]).maskedScatter(mask, $0[1] * $0[1]) }),
        ("index_fill", { try ($0[0] * $0[0]).indexFill(1, Tensor([-1, 2]), $0[1].sum()) }),
        ("take", { try ($0[0] * $0[1]).take(Tensor([0, 5, -1])) }),
        ("stack", { try Tensor.stack([$0[0], $0[0] * $0[1]], dimension: 1) }),
        ("block_diag", { try Tensor.blockDiag([$0[0], $0[1] * $0[1]]) }),
      ])
    // A factor of zero leaves the gradient of the others' product to it alone.
    check(
      [try leaf([0.5, 1.5, -2]), try leaf([0, 3, 0.7, -1.2])],
      [("one zero", { try $0[0].scatterReduce(0, Tensor([0, 0, 1, 1]), $0[1], reduce: "prod") })])
  }

  func testCopiesOfViews() throws {
    let copies: [(OperatorDefinition, [Value])] = [
      (OperatorLibrary.permute.copying, [.list([.int(1), .int(0)])]), (OperatorLibrary.viewCopy, [.list([.int(6)])]),
      (OperatorLibrary.narrowCopy, [.int(1), .int(-2), .int(2)]),
      (OperatorLibrary.asStrided.copying, [.list([.int(2), .int(2)]), .list([.int(1), .int(1)])]),
      (OperatorLibrary.unfold.copying, [.int(1), .int(2), .int(1)]),
    ]
    check(
      [try x()],
      copies.map { target, arguments in
        ("\(target.name)", { x in try target([.reference(x[0] * x[0])] + arguments) })
      })
    check(
      [try x()],
      [
        ("diag_embed", { try ($0[0] * $0[0]).diagEmbed(offset: -1, 0, 2) }), ("diag", { try $0[0].diag(1) }),
        ("rot90", { try ($0[0] * $0[0]).rot90(-1) }), ("roll", { try $0[0].roll([1, -1], [0, 1]) }),
        ("repeat_interleave", { try $0[0].repeatInterleave(Tensor([2, 0, 1]), dimension: 1) }),
      ])
  }
}
