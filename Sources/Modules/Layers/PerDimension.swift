import AOTAutograd

/// A size for each dimension of a window: one number for all of them, or an array with one for each.
public protocol PerDimension {
  /// The numbers, where there are as many as dimensions.
  func sizes(_ rank: Int) -> [Int]?
}

extension Int: PerDimension {
  public func sizes(_ rank: Int) -> [Int]? { Array(repeating: self, count: rank) }
}

extension [Int]: PerDimension {
  public func sizes(_ rank: Int) -> [Int]? { count == rank ? self : nil }
}

extension PerDimension {
  /// - Throws: `ModuleError` where there is not a number for each dimension, or one is too small.
  func checked(_ rank: Int, atLeast least: Int, _ what: String) throws(ModuleError) -> [Int] {
    guard let sizes = sizes(rank), sizes.allSatisfy({ $0 >= least }) else {
      throw ModuleError(
        .invalidSetting,
        "\(what) is \(self); \(rank == 1 ? "a number" : "\(rank) numbers") of at least \(least) are wanted")
    }
    return sizes
  }
}
