import GraphIR
import TensorCore

extension OperatorLibrary {
  static let affineGrids = [affineGridGenerator]

  /// Where the elements of images of some sizes come from under affine maps, for `grid_sampler`: coordinates from -1 to 1, which
  /// mean the centers of the outermost elements where `align_corners` is true, else their outer edges.
  ///
  /// - Shape: maps [N, 2, 3] and sizes [N, C, H, W] give [N, H, W, 2]; [N, 3, 4] and [N, C, D, H, W] give [N, D, H, W, 3].
  public static let affineGridGenerator = OperatorDefinition(
    "affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor",
    .composite { call in
      let (maps, sizes) = (try call.tensor(0), try call.ints(1))
      let spatial = Array(sizes.dropFirst(2))
      let rank = spatial.count
      guard rank == 2 || rank == 3, maps.shape == [sizes[0], rank, rank + 1], spatial.allSatisfy({ $0 > 0 }) else {
        throw OperatorError(
          .shape, call.target.name,
          "needs maps [N, 2, 3] for sizes [N, C, H, W], or [N, 3, 4] for [N, C, D, H, W]; got \(maps.sizes) for \(sizes)"
        )
      }
      let isAligned = try call.bool(2)
      var coordinates: [Tensor] = []
      // The last dimension's coordinate comes first.
      for (dimension, size) in spatial.enumerated().reversed() {
        var line = try Tensor.linspace(-1, 1, steps: size, dtype: maps.dtype)
        if size == 1 { line = try line.zerosLike() }
        if !isAligned { line = try line * (Double(size - 1) / Double(size)) }
        let shape = spatial.indices.map { $0 == dimension ? size : 1 }
        coordinates.append(try line.reshape(shape).expand(spatial))
      }
      coordinates.append(try Tensor.ones(spatial, dtype: maps.dtype))
      let points = try Tensor.stack(coordinates, dimension: rank).reshape([1, -1, rank + 1]).expand([sizes[0], -1, -1])
      return .reference(try points.matmul(maps.transpose(1, 2)).reshape([sizes[0]] + spatial + [rank]))
    })
}
