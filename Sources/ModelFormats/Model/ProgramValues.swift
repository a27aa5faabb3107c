import Capture
import GraphIR
import TensorCore

/// Inputs or results of a program, flat: tensors, and numbers and other constants between them.
public struct ProgramValues: TensorTree {
  public var values: [Value]

  public init(_ values: [Value]) { self.values = values }

  public func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> ProgramValues {
    ProgramValues(try values.map { value in try value.map { .reference(try transform($0)) } })
  }

  public var treeConstants: [Constant] { values.map { $0.map { _ in .none } } }
}
