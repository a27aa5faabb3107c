import Foundation

/// Where the recorded facts are.
enum Facts {
  /// The full set of operator calls beside this package's checkout, where there is one; else the sample.
  static let operators = beside("ops/ops.jsonl") ?? sample

  /// A part of it that comes with the tests, written by `sample.py`: a few calls of every operator.
  static let sample = tests.appendingPathComponent("Sample")

  /// The full set of scenarios beside this package's checkout; nil where there is none.
  static let scenarios = beside("scenarios/index.json")

  /// A part of it that comes with the tests, written by `scenario_sample.py`: a few of every family.
  static let scenarioSample = tests.appendingPathComponent("ScenarioSample")

  /// The full set of exported models; nil where there is none.
  static let models = beside("models/README.md")

  /// Small ones that come with the tests of model formats, written by `models.py` there.
  static let modelSample = tests.deletingLastPathComponent().appendingPathComponent("ModelFormatsTests/Models")

  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

  /// The folder of a file of the full set.
  private static func beside(_ file: String) -> URL? {
    var folder = tests
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      let candidate = folder.appendingPathComponent("shared/conformance").appendingPathComponent(file)
      if FileManager.default.fileExists(atPath: candidate.path) { return candidate.deletingLastPathComponent() }
    }
    return nil
  }
}
