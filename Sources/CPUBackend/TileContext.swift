/// The tile at hand, and where everything is. One per thread and run.
struct TileContext {
  var scratch: UnsafeMutableRawPointer
  /// Base addresses, by buffer index.
  var buffers: UnsafeMutablePointer<UnsafeMutableRawPointer?>

  var rowStart = 0
  var rowCount = 0
  var columnStart = 0
  var columnCount = 0
  var groupStart = 0
  /// Groups in the tile: rows of values for a row plan, 1 for a column plan.
  var groupCount = 0
  /// Elements of each group in the tile.
  var groupLength = 0
  /// Position of the tile's first element in its group.
  var position = 0
  /// Tiles of this group so far.
  var tileNumber = 0

  var elementCount = 0
  /// The number of group-level values.
  var groupWidth = 0
  /// The index that a check refused, the size that it did not fit, and the buffer that it lies in (-1: none).
  var fault = 0
  var faultSize = 0
  var faultBuffer = -1
}
