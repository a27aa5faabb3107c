import Foundation
import GraphIR
import Synchronization
import TensorCore

/// What compilation has to tell, by artifact; off unless somebody listens.
///
/// In code:
///
///     let subscription = AOTLog.addHandler(for: [.recompiles]) { print($0) }
///
/// From outside, by the environment variable `AOT_LOGS`, read once: `AOT_LOGS=graphs,recompiles` or `AOT_LOGS=all` writes a
/// block of text per event to standard error.
public enum AOTLog {
  /// Keeps a handler: it is called until the subscription is cancelled or gone.
  public final class Subscription: Sendable {
    private let id: Int

    fileprivate init(_ id: Int) { self.id = id }

    deinit { cancel() }

    public func cancel() { AOTLog.remove(id) }
  }

  /// Has a handler called with events, on the thread where they happen: it should take little time and not call compiled
  /// functions.
  public static func addHandler(
    for artifacts: Set<AOTEvent.Artifact> = Set(AOTEvent.Artifact.allCases),
    _ handler: @escaping @Sendable (AOTEvent) -> Void
  ) -> Subscription {
    Subscription(add(Handler(artifacts: artifacts, call: handler)))
  }

  // MARK: - Sending

  /// Whether anybody listens: one atomic load.
  static func isOn(_ artifact: AOTEvent.Artifact) -> Bool {
    registry.wanted.load(ordering: .relaxed) & artifact.bit != 0
  }

  /// Tells all that listen. What there is to tell is made only if somebody does.
  static func send(
    _ artifact: AOTEvent.Artifact, from function: SourceLocation,
    _ payload: @autoclosure () -> AOTEvent.Payload
  ) {
    guard isOn(artifact) else { return }
    let event = AOTEvent(function: function, payload: payload())
    let handlers = registry.handlers.withLock { $0.values.filter { $0.artifacts.contains(artifact) } }
    for handler in handlers { handler.call(event) }
  }

  // MARK: - Listening

  private struct Handler: Sendable {
    let artifacts: Set<AOTEvent.Artifact>
    let call: @Sendable (AOTEvent) -> Void
  }

  private final class Registry: Sendable {
    let handlers = Locked<[Int: Handler]>([:])
    /// A bit for each artifact that a handler is there for.
    let wanted = Atomic<UInt32>(0)

    init() {
      guard let text = ProcessInfo.processInfo.environment["AOT_LOGS"] else { return }
      let settings = LogSettings(parsing: text)
      if let warning = settings.warning { Self.print(warning) }
      guard !settings.artifacts.isEmpty else { return }
      insert(-1, Handler(artifacts: settings.artifacts) { Self.print($0.description) })
    }

    func insert(_ id: Int, _ handler: Handler) { update { $0[id] = handler } }
    func remove(_ id: Int) { update { $0[id] = nil } }

    private func update(_ change: (inout [Int: Handler]) -> Void) {
      handlers.withLock { handlers in
        change(&handlers)
        let artifacts = handlers.values.reduce(into: Set()) { $0.formUnion($1.artifacts) }
        wanted.store(artifacts.reduce(0) { $0 | $1.bit }, ordering: .relaxed)
      }
    }

    private static func print(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
  }

  private static let registry = Registry()
  private static let nextID = Atomic<Int>(0)

  private static func add(_ handler: Handler) -> Int {
    let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    registry.insert(id, handler)
    return id
  }

  private static func remove(_ id: Int) { registry.remove(id) }
}

extension AOTEvent.Artifact {
  fileprivate var bit: UInt32 { 1 << UInt32(Self.allCases.firstIndex(of: self) ?? 0) }
}

/// What the value of `AOT_LOGS` asks for.
struct LogSettings: Hashable {
  private(set) var artifacts: Set<AOTEvent.Artifact> = []
  /// Names that mean nothing.
  private(set) var unknown: [String] = []

  init(parsing text: String) {
    for part in text.split(separator: ",") {
      let name = part.trimmingCharacters(in: .whitespaces)
      if name == "all" {
        artifacts = Set(AOTEvent.Artifact.allCases)
      } else if let artifact = AOTEvent.Artifact(rawValue: name) {
        artifacts.insert(artifact)
      } else if !name.isEmpty {
        unknown.append(name)
      }
    }
  }

  /// One line that says which names there are; nil where all were known.
  var warning: String? {
    if unknown.isEmpty { return nil }
    let known = AOTEvent.Artifact.allCases.map(\.rawValue).joined(separator: ", ")
    return "AOT_LOGS: unknown \(unknown.joined(separator: ", ")); known are \(known), all"
  }
}
