import GraphIR
import TensorCore

#if canImport(Runtime)
  import Runtime
#endif

/// Finds the user's line that an operator call comes from, by walking the call stack past this package's own frames.
///
/// The walk takes microseconds; names and lines are looked up only when a location is printed or compared.
public enum SourceLocator {
  /// Where the innermost caller outside the library is; of a program that came from a file, where that was written.
  ///
  /// - Parameter fallback: The location where the platform cannot walk stacks, or nobody outside is found.
  public static func current(fallback: SourceLocation?) -> SourceLocation? {
    if let source = DispatchContext.current.programSource { return source }
    #if canImport(Runtime)
      if #available(macOS 26.0, *), let images = Self.images as? ImageMap,
        let backtrace = try? Backtrace.capture(algorithm: .fast, limit: 32, offset: 1, top: 0, images: images)
      {
        return SourceLocation { knownFrame(of: backtrace) ?? (fallback?.file ?? "", fallback?.line ?? 0) }
      }
    #endif
    return fallback
  }

  #if canImport(Runtime)
    private static let images: (any Sendable)? =
      if #available(macOS 26.0, *) { ImageMap.capture() } else { nil }

    /// What was found for call stacks, by their addresses: the layers of a model often are made by one line, and looking
    /// lines up takes longer than all else.
    private static let found = Locked<[String: (file: String, line: Int)?]>([:])

    @available(macOS 26.0, *)
    private static func knownFrame(of backtrace: Backtrace) -> (file: String, line: Int)? {
      let addresses = backtrace.frames.map { "\($0)" }.joined(separator: " ")
      if let frame = found.withLock({ $0[addresses] }) { return frame }
      let frame = userFrame(of: backtrace)
      found.withLock { $0[addresses] = .some(frame) }
      return frame
    }

    /// The innermost frame that has a line and is not in the library's own sources.
    @available(macOS 26.0, *)
    private static func userFrame(of backtrace: Backtrace) -> (file: String, line: Int)? {
      guard let symbolicated = backtrace.symbolicated() else { return nil }
      for frame in symbolicated.frames {
        guard let location = frame.symbol?.sourceLocation, location.line > 0,
          !isLibrary(location.path)
        else { continue }
        return (String(location.path.split(separator: "/").last ?? ""), location.line)
      }
      return nil
    }

    /// Whether a file is one of the library's sources. Inlined frames have paths relative to where the compiler ran.
    private static func isLibrary(_ path: String) -> Bool {
      path.hasPrefix("/")
        ? libraryTargets.contains { path.hasPrefix("\(sources)\($0)/") }
        : libraryTargets.contains { "/\(path)".contains("/Sources/\($0)/") }
    }

    private static let sources = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/"
    private static let libraryTargets = [
      "TensorCore", "GraphIR", "Operators", "EagerAutograd", "AOTArtifacts", "Capture", "RuntimeWrappers",
      "AOTAutograd", "Modules",
    ]
  #endif
}
