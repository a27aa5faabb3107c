import TensorCore

/// Damages graph texts at random and checks that each is read or refused: `aot fuzz` and the tests run it.
public struct TextFuzzer {
  /// What came of the texts.
  public struct Report: Sendable {
    public internal(set) var parsed = 0
    public internal(set) var refused = 0
    /// Texts that were read, and whose print did not read back as itself.
    public internal(set) var unstable: [String] = []
  }

  private let texts: [[UInt8]]
  private let operators: any OperatorTable

  /// Bytes and words that mean something to the parser.
  private static let fragments: [[UInt8]] =
    [
      "(", ")", "[", "]", "{", "}", ",", ":", "=", "@", "#", "\"", "\\", "//", "\n", ".", "-", "0",
      "99999999999999999999",
      "9223372036854775807", "-9223372036854775808", "1e999", "nan(0x", "inf", "none", "true", "return", "graph",
      "strides",
      "offset", " on ", "cuda:", "requires_grad", "as ", "\\u{110000}", "f32[", "tangent(of: ", "get_attr(", "\u{FEFF}",
      "é",
    ].map { Array($0.utf8) } + [[0], [0xFF], [0xC3], [0xE2, 0x82]]

  /// - Precondition: There is a text to begin with.
  public init(texts: [String], operators: any OperatorTable) {
    precondition(!texts.isEmpty, "a fuzzer needs texts to begin with")
    self.texts = texts.map { Array($0.utf8) }
    self.operators = operators
  }

  public func run(count: Int, seed: UInt64) -> Report {
    var random = SplitMix(seed: seed)
    var report = Report()
    for _ in 0..<count {
      let text = String(decoding: mutated(&random), as: UTF8.self)
      guard let graph = try? Graph(parsing: text, operators: operators) else {
        report.refused += 1
        continue
      }
      report.parsed += 1
      let printed = graph.description
      if (try? Graph(parsing: printed, operators: operators).description) != printed { report.unstable.append(text) }
    }
    return report
  }

  private func mutated(_ random: inout SplitMix) -> [UInt8] {
    var text = texts[random.below(texts.count)]
    for _ in 0...random.below(4) {
      let place = random.below(text.count + 1)
      let end = min(text.count, place + random.below(12))
      switch random.below(6) {
      case 0: text.removeSubrange(place..<end)
      case 1: text.insert(contentsOf: Self.fragments[random.below(Self.fragments.count)], at: place)
      case 2: text.insert(contentsOf: text[place..<end], at: random.below(text.count + 1))
      case 3: if place < text.count { text[place] = UInt8(truncatingIfNeeded: random.next()) }
      case 4: text.replaceSubrange(place..<end, with: Self.fragments[random.below(Self.fragments.count)])
      default: text.removeSubrange(place...)
      }
    }
    return text
  }
}
