import AOTAutograd

/// The stages on a function's way that can be looked at.
enum Stage: String, CaseIterable, Sendable {
  case captured, functional, joint, forward, backward

  /// The graph at this stage; nil where the function has none, as one that is not differentiated has no backward.
  func graph(of stages: AOTStages) -> Graph? {
    switch self {
    case .captured: stages.captured
    case .functional: stages.functional
    case .joint: stages.joint
    case .forward: stages.forward
    case .backward: stages.backward
    }
  }
}
