import GraphIR
import TensorCore

extension OperatorLibrary {
  static let maxUnpooling = [maxUnpool2d]

  /// Elements put back where `max_pool2d_with_indices` found them, zeros elsewhere.
  ///
  /// - Shape: [N, C, H, W] or [C, H, W], and places among the rows of the output; the last two sizes become `output_size`.
  public static let maxUnpool2d = OperatorDefinition(
    "max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor",
    .composite { call in
      let (input, places) = (try call.tensor(0), try call.tensor(1))
      let size = try call.ints(2, count: 2)
      guard input.rank == 3 || input.rank == 4, input.sizes == places.sizes, size.allSatisfy({ $0 >= 0 }) else {
        throw OperatorError(
          .shape, call.target.name,
          "needs inputs [N, C, H, W] or [C, H, W] with a place for each element, got \(input.sizes) and \(places.sizes)"
        )
      }
      let planes = Array(input.shape.dropLast(2))
      let flat = try input.newZeros(planes + [size[0] * size[1]])
      let rank = planes.count
      let filled = try flat.scatter(rank, places.reshape(planes + [-1]), input.reshape(planes + [-1]))
      return .reference(try filled.reshape(planes + size))
    })
}
