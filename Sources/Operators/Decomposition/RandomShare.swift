import GraphIR
import TensorCore

/// The random numbers of a keyed call, for the draws that the call is decomposed into: each gets its place among them.
struct RandomShare {
  private let name: OperatorName
  private let key: Tensor
  private let counter: Tensor
  private var offset: Int
  private let end: Int

  init?(of call: OperatorCall, _ unkeyed: OperatorCall) throws {
    guard case .stream(let key, let counter, let offset) = try call.randomSource else { return nil }
    self.name = call.target.name
    self.key = key
    self.counter = counter
    self.offset = offset
    end = offset + (try unkeyed.target.blockCount(unkeyed))
  }

  /// The keyed call for one that draws; nil for a call that does not.
  ///
  /// - Throws: `OperatorError` where the decomposition draws more than the operator, or what nobody can count.
  mutating func keyed(_ call: OperatorCall) throws -> OperatorCall? {
    guard call.target.traits.contains(.random) else { return nil }
    guard let keyed = call.target.keyed else {
      throw OperatorError(
        .notImplemented, name, "its decomposition calls \(call.target.name), which has no keyed variant")
    }
    let place = offset
    offset += try call.target.blockCount(call)
    guard offset <= end else {
      throw OperatorError(.argument, name, "its decomposition draws more random numbers than the operator")
    }
    return OperatorCall(keyed, call.arguments + [.reference(key), .reference(counter), .int(SymInt(place))])
  }
}
