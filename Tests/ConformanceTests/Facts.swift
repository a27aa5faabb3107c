import Foundation

/// Where the recorded facts are.
enum Facts {
  /// The full set beside this package's checkout, where there is one; else the sample that comes with the tests.
  static let operators: URL = beside ?? sample

  /// A part of the full set, written by `sample.py`: a few calls of every operator.
  static let sample = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Sample")

  static let beside: URL? = {
    var folder = URL(fileURLWithPath: #filePath)
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      let candidate = folder.appendingPathComponent("shared/conformance/ops")
      if FileManager.default.fileExists(atPath: candidate.appendingPathComponent("ops.jsonl").path) { return candidate }
    }
    return nil
  }()
}
