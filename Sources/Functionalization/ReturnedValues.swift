import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Makes the values that a functional graph returns: each in memory of its own, which neither an input nor a constant nor
/// another returned value shares.
struct ReturnedValues {
  let replay: ViewReplay
  /// Storages that a further returned value may not lie in.
  private var taken: Set<ObjectIdentifier>

  /// - Parameter visible: What others can see the memory of: inputs and constants.
  init(replay: ViewReplay, visible: [Tensor]) {
    self.replay = replay
    taken = Set(visible.map { ObjectIdentifier($0.storage) })
  }

  /// A value of which only the elements matter.
  mutating func elements(_ value: Tensor) throws -> Tensor {
    let own = isTaken(value) ? try value.clone() : value
    taken.insert(ObjectIdentifier(own.storage))
    return own
  }

  /// A value in the very layout that the captured program's tensor has.
  mutating func exact(_ view: AliasView) throws -> Tensor {
    let value = try replay.read(view)
    let wanted = try view.eagerMeta.layout
    if value.layout == wanted, !isTaken(value) { return try elements(value) }
    // A view has its layout from its base.
    guard view.parent != nil else { return try exactBase(value, wanted, view) }
    let replayed = try replay.replayed(view, from: try exact(view.base))
    return view.hasOwnHistory ? try replay.recorder.grafted(replayed, onto: value) : replayed
  }

  private mutating func exactBase(_ value: Tensor, _ wanted: Layout, _ view: AliasView) throws -> Tensor {
    let restored = try value.relaid(like: wanted)
    guard let own = try restored.map({ try elements($0) }), own.layout == wanted else {
      throw OperatorError(
        .notImplemented, nil, "an output with strides \(wanted.strides) and offset \(wanted.offset) cannot be made",
        source: view.memory.writes.last.source)
    }
    return own
  }

  private func isTaken(_ value: Tensor) -> Bool { taken.contains(ObjectIdentifier(value.storage)) }
}
