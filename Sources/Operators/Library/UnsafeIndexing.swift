import GraphIR
import TensorCore

extension OperatorLibrary {
  // Where PyTorch leaves out the check of indices. Here they are checked: nothing is unsafe.
  static let unsafeIndexing = [unsafeIndex, unsafeIndexPut]

  public static let unsafeIndex = OperatorDefinition(
    "_unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", .composite { try index.call($0.arguments) })

  public static let unsafeIndexPut = OperatorDefinition(
    "_unsafe_index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
    .composite { try indexPut.call($0.arguments) })
}
