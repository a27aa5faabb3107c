import AOTAutograd

/// The decomposition tables that commands name.
enum DecompositionChoice: String, CaseIterable, Sendable {
  case none, core, primitives

  static let option = Option(
    "decompose", .choice, default: DecompositionChoice.none, "what operators outside of that set are replaced by")

  var table: DecompositionTable {
    switch self {
    case .none: .none
    case .core: .coreATen
    case .primitives: .primitives
    }
  }
}
