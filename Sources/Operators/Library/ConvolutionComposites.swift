import GraphIR
import TensorCore

// The convolutions that users call, each one call of `convolution`. Without a batch dimension, one is made for the time.
extension OperatorLibrary {
  public static let conv1d = convolving(
    """
    conv1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], \
    SymInt[1] dilation=[1], SymInt groups=1) -> Tensor
    """, rank: 1)

  public static let conv2d = convolving(
    """
    conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], \
    SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor
    """, rank: 2)

  public static let conv3d = convolving(
    """
    conv3d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], \
    SymInt[3] dilation=[1, 1, 1], SymInt groups=1) -> Tensor
    """, rank: 3)

  public static let conv1dPadding = convolving(
    """
    conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], str padding="valid", \
    SymInt[1] dilation=[1], SymInt groups=1) -> Tensor
    """, rank: 1)

  public static let conv2dPadding = convolving(
    """
    conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], str padding="valid", \
    SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor
    """, rank: 2)

  public static let conv3dPadding = convolving(
    """
    conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], str padding="valid", \
    SymInt[3] dilation=[1, 1, 1], SymInt groups=1) -> Tensor
    """, rank: 3)

  public static let convTranspose1d = convolvingTransposed(
    """
    conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], \
    SymInt[1] output_padding=[0], SymInt groups=1, SymInt[1] dilation=[1]) -> Tensor
    """, rank: 1)

  public static let convTranspose2d = convolvingTransposed(
    """
    conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], \
    SymInt[2] padding=[0, 0], SymInt[2] output_padding=[0, 0], SymInt groups=1, SymInt[2] dilation=[1, 1]) -> Tensor
    """, rank: 2)

  public static let convTranspose3d = convolvingTransposed(
    """
    conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], \
    SymInt[3] padding=[0, 0, 0], SymInt[3] output_padding=[0, 0, 0], SymInt groups=1, \
    SymInt[3] dilation=[1, 1, 1]) -> Tensor
    """, rank: 3)

  private static func convolving(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        let zeros = [Int](repeating: 0, count: rank)
        return try convolved(call, rank: rank) { input in
          var (input, padding) = (input, call.arguments[4])
          if case .string(let mode) = padding { (input, padding) = try padded(input, mode, call, rank: rank) }
          return [
            .reference(input), call.arguments[1], call.arguments[2], call.arguments[3], padding, call.arguments[5],
            .bool(false), Value(zeros), call.arguments[6],
          ]
        }
      })
  }

  private static func convolvingTransposed(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        try convolved(call, rank: rank) { input in
          [.reference(input)] + call.arguments[1...4] + [call.arguments[7], .bool(true)] + call.arguments[5...6]
        }
      })
  }

  private static func convolved(
    _ call: OperatorCall, rank: Int, _ arguments: (Tensor) throws -> [Value]
  ) throws -> Value {
    let input = try call.tensor(0)
    guard input.rank == rank + 1 || input.rank == rank + 2 else {
      throw OperatorError(
        .shape, call.target.name,
        "'input' must have \(rank + 2) dimensions, or \(rank + 1) without a batch, got \(input.sizes)"
      )
    }
    let hasBatch = input.rank == rank + 2
    let result = try convolution(arguments(hasBatch ? input : input.unsqueeze(0)))
    return .reference(hasBatch ? result : try result.squeeze(0))
  }

  /// Padding by name: `valid` is none; `same` keeps the sizes, an odd element going to the end.
  private static func padded(
    _ input: Tensor, _ mode: String, _ call: OperatorCall, rank: Int
  ) throws -> (Tensor, padding: Value) {
    let zeros = [Int](repeating: 0, count: rank)
    let weight = try call.tensor(1)
    switch mode {
    case "valid": return (input, Value(zeros))
    case "same":
      let (strides, dilation) = (try call.ints(3, count: rank), try call.ints(5, count: rank))
      guard strides.allSatisfy({ $0 == 1 }), weight.rank == rank + 2 else {
        throw OperatorError(.argument, call.target.name, "padding 'same' needs strides of 1, got \(strides)")
      }
      let totals = (0..<rank).map { dilation[$0] * (weight.shape[$0 + 2] - 1) }
      let extra = totals.reversed().flatMap { [0, $0 % 2] }
      return (extra.contains(1) ? try input.pad(extra) : input, Value(totals.map { $0 / 2 }))
    default:
      throw OperatorError(.argument, call.target.name, "padding must be 'valid' or 'same', got '\(mode)'")
    }
  }
}

extension Tensor {
  /// input [n, c, l], weight [out, c / groups, k] → [n, out, l']
  public func conv1d(
    _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) throws -> Tensor {
    try OperatorLibrary.conv1d(
      .reference(self), .reference(weight), bias.map { .reference($0) } ?? .none, Value([stride]), Value([padding]),
      Value([dilation]), Value(groups))
  }

  /// input [n, c, h, w], weight [out, c / groups, kh, kw] → [n, out, h', w']
  public func conv2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) throws -> Tensor {
    try OperatorLibrary.conv2d(
      .reference(self), .reference(weight), bias.map { .reference($0) } ?? .none, Value([stride, stride]),
      Value([padding, padding]), Value([dilation, dilation]), Value(groups))
  }
}
