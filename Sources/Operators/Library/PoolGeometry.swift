import GraphIR
import TensorCore

/// The arguments of a pooling operator, checked: where its windows lie in the last dimensions of a tensor.
struct PoolGeometry {
  let windows: WindowGeometry
  let kernel: [Int]
  /// Sizes of the pooled dimensions.
  let space: [Int]
  /// How many windows there are along each.
  let counts: [Int]

  var rank: Int { kernel.count }

  /// Reads kernel_size, stride, padding, dilation (if there is one) and ceil_mode from a position on.
  init<Reference>(_ call: Call<Reference>, at position: Int, rank: Int, space sizes: [Int], hasDilation: Bool) throws {
    let name = call.target.name
    guard sizes.count == rank + 1 || sizes.count == rank + 2 else {
      throw OperatorError(
        .shape, name, "'self' must have \(rank + 1) or \(rank + 2) dimensions, got sizes \(sizes)")
    }
    space = Array(sizes.suffix(rank))
    kernel = try call.ints(position, count: rank)
    let strides = try call.ints(position + 1).isEmpty ? kernel : call.ints(position + 1, count: rank)
    var windows = WindowGeometry(
      strides: strides, padding: try call.ints(position + 2, count: rank),
      dilation: hasDilation ? try call.ints(position + 3, count: rank) : [Int](repeating: 1, count: rank))
    windows.roundsUp = try call.bool(position + (hasDilation ? 4 : 3))
    try windows.check(call.target)
    guard kernel.allSatisfy({ $0 > 0 }) else {
      throw OperatorError(.argument, name, "argument 'kernel_size' must be positive, got \(kernel)")
    }
    guard zip(windows.padding, kernel).allSatisfy({ $0 <= $1 / 2 }) else {
      throw OperatorError(
        .argument, name, "argument 'padding' must be at most half the kernel size, got \(windows.padding) for \(kernel)"
      )
    }
    counts = windows.counts(over: space, kernel: kernel)
    guard counts.allSatisfy({ $0 > 0 }), !sizes.suffix(rank + 1).contains(0) else {
      throw OperatorError(
        .shape, name,
        "a window of sizes \(kernel) does not fit an input of sizes \(sizes) with padding \(windows.padding)")
    }
    self.windows = windows
  }
}
