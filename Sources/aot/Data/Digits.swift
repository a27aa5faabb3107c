import TensorCore

/// Handwritten digits: images of 8 × 8 pixels and what they show.
///
/// E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0.
struct Digits {
  static let pixelCount = 64
  static let classCount = 10

  /// Pixels of all images, image by image and row by row, each in 0…1.
  var pixels: [Float] = []
  /// Of each image, in 0…9.
  var labels: [Int] = []

  var count: Int { labels.count }

  /// All 1,797 images, in the order of their source.
  ///
  /// - Throws: `DataError` where the data in the program is damaged.
  static func all() throws(DataError) -> Digits {
    let bytes = try embedded.verifiedBytes(checksum: embeddedChecksum, name: "digits")
    var digits = Digits()
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      guard let label = line.first, line.count == 1 + pixelCount else {
        throw DataError(description: "image \(digits.count) of the embedded digits is not 64 pixels and a label")
      }
      digits.labels.append(Int(label) - Int(UInt8(ascii: "0")))
      digits.pixels += line.dropFirst().map { (Float($0) - Float(UInt8(ascii: "a"))) / 16 }
    }
    guard digits.count == embeddedCount else {
      throw DataError(description: "the embedded digits are \(digits.count) images, not \(embeddedCount)")
    }
    return digits
  }

  /// The first 80 % of a fixed shuffle, to train on, and the rest, to test with.
  static func split() throws(DataError) -> (training: Digits, test: Digits) {
    let all = try all()
    var random = SeededRandom(seed: 1797)
    let order = random.permutation(all.count)
    let trainingCount = all.count * 8 / 10
    return (all.selecting(order[..<trainingCount]), all.selecting(order[trainingCount...]))
  }

  /// The images at some positions, in that order.
  func selecting(_ positions: some Sequence<Int>) -> Digits {
    var selected = Digits()
    for position in positions {
      selected.pixels += pixels[position * Self.pixelCount..<(position + 1) * Self.pixelCount]
      selected.labels.append(labels[position])
    }
    return selected
  }

  /// Pixels as f32[count, 64], labels as i64[count].
  func tensors() throws -> (images: Tensor, labels: Tensor) {
    (try Tensor(pixels, shape: [count, Self.pixelCount]), try Tensor(labels))
  }

  /// Consecutive full batches of a shuffle; the images that fill none are left out.
  func batches(of size: Int, shuffledBy random: inout SeededRandom) -> [Digits] {
    let order = random.permutation(count)
    return stride(from: 0, through: count - size, by: size).map { selecting(order[$0..<$0 + size]) }
  }
}
