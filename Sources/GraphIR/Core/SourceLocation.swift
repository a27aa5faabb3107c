import TensorCore

/// Where in the user's source something was written.
///
/// A location taken from the call stack is resolved to a file and line when someone first asks.
public struct SourceLocation: Sendable {
  private let resolution: Resolution

  public init(file: String, line: Int) { resolution = .known(file, line) }

  /// A location that `resolve` finds, once, when it is needed.
  public init(resolvedBy resolve: @escaping @Sendable () -> (file: String, line: Int)) {
    resolution = .deferred(Deferred(resolve))
  }

  public var file: String { resolved.file }
  public var line: Int { resolved.line }

  /// Whether a line was found; looking may take a while.
  public var isKnown: Bool { line > 0 }

  private var resolved: (file: String, line: Int) {
    switch resolution {
    case .known(let file, let line): (file, line)
    case .deferred(let deferred): deferred.value
    }
  }

  private enum Resolution: Sendable {
    case known(String, Int)
    case deferred(Deferred)
  }

  private final class Deferred: Sendable {
    private let state:
      Locked<(resolve: (@Sendable () -> (file: String, line: Int))?, value: (file: String, line: Int)?)>

    init(_ resolve: @escaping @Sendable () -> (file: String, line: Int)) { state = Locked((resolve, nil)) }

    var value: (file: String, line: Int) {
      state.withLock { state in
        if let value = state.value { return value }
        let value = state.resolve?() ?? ("", 0)
        state = (nil, value)
        return value
      }
    }
  }
}

extension SourceLocation: Hashable {
  public static func == (a: SourceLocation, b: SourceLocation) -> Bool { a.file == b.file && a.line == b.line }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(file)
    hasher.combine(line)
  }
}

extension SourceLocation: CustomStringConvertible {
  public var description: String { "\(file):\(line)" }
}
