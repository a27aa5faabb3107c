import GraphIR
import Operators

extension Graph {
  /// Makes the backward pass independent of inputs that are overwritten when the forward pass ends.
  ///
  /// What it reads of them directly is copied in the forward pass; what the forward pass computes from them is not to be
  /// computed again.
  ///
  /// - Parameter primals: The inputs that the forward pass, or the runtime after it, writes to.
  mutating func keepOverwrittenPrimals(_ primals: [NodeID]) {
    let storages = Set(primals.compactMap { self[metadata: $0].tensor?.storageID })
    if storages.isEmpty { return }
    let forward = nodes.filter { !self[metadata: $0].isBackward && !self[$0].isOutput }
    let readsOverwritten = { (graph: Graph, id: NodeID) in
      graph[metadata: id].tensor?.storageID.map(storages.contains) ?? false
    }
    var leadsToBackward = NodeMap<Bool>(for: self)
    for id in forward.reversed() {
      leadsToBackward[id] = users(of: id).contains { self[metadata: $0].isBackward || leadsToBackward[$0] == true }
    }
    for id in forward where readsOverwritten(self, id) && leadsToBackward[id] == true {
      for user in users(of: id) where leadsToBackward[user] == true && !readsOverwritten(self, user) {
        self[metadata: user].recompute = .mustSave
      }
      let backwardUsers = users(of: id).filter { self[metadata: $0].isBackward }
      if !backwardUsers.isEmpty { keepCopy(of: id, for: backwardUsers) }
    }
  }

  private mutating func keepCopy(of id: NodeID, for users: [NodeID]) {
    var metadata = NodeMetadata(
      value: self[metadata: id].value, source: self[metadata: id].source, recompute: .mustSave)
    if var tensor = metadata.tensor {
      // A clone keeps strides where they are dense, and the forward graph's metadata say that it has a storage of its own.
      tensor.storageID = nil
      metadata.value = .reference(tensor)
    }
    let lastPlaceholder = placeholders.last ?? id
    let copy = inserting(.after(self[id].isPlaceholder ? lastPlaceholder : id)) {
      $0.call(OperatorLibrary.clone, [.reference(id)], name: "\($0[id].name)_before", metadata: metadata)
    }
    replaceAllUses(of: id, with: copy) { users.contains($0) }
  }
}
