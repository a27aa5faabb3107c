import GraphIR
import Operators
import TensorCore

/// Records the backward pass. A formula of the user's own may write to a tensor that it saved: that becomes a new value, which
/// later calls see in its place, and a copy into the input that the tensor is.
final class BackwardRecorder: DispatchMode {
  private let tracer: GraphTracer
  /// What tensors that were written to are by now, in the order of the first writes.
  private(set) var written: [(tensor: Tensor, value: Tensor)] = []

  init(_ tracer: GraphTracer) { self.tracer = tracer }

  func lift(_ tensor: Tensor) throws -> Tensor { try tracer.lift(tensor) }
  func refuse(_ error: any Error) { tracer.refuse(error) }
  func depend(on read: GuardedRead) { tracer.depend(on: read) }

  func dispatch(_ call: OperatorCall) throws -> Value {
    var current = call
    if !written.isEmpty {
      current.arguments = call.arguments.map { argument in argument.map { .reference(value(of: $0)) } }
    }
    guard call.target.mutates else { return try tracer.dispatch(current) }
    guard case .inPlace(let functional) = call.target.implementation, !call.target.mutatesLayoutOnly,
      let tensor = call.arguments[0].reference, !tensor.isView
    else {
      throw OperatorError(
        .notImplemented, call.target.name,
        "a gradient of one's own may write, when compiled, to whole tensors that it saved and in no other way")
    }
    guard var new = try tracer.dispatch(OperatorCall(functional, current.arguments)).reference else {
      throw OperatorError(.notImplemented, call.target.name, "gives no single tensor to write")
    }
    new = try new.converted(to: tensor.dtype)
    if new.sizes != tensor.sizes { new = try new.expand(tensor.sizes) }
    if let index = written.firstIndex(where: { $0.tensor === tensor }) {
      written[index].value = new
    } else {
      written.append((tensor, new))
    }
    return .reference(tensor)
  }

  private func value(of tensor: Tensor) -> Tensor { written.first { $0.tensor === tensor }?.value ?? tensor }
}
