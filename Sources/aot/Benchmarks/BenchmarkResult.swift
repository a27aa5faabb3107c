import Foundation

/// A number that a benchmark measured.
struct BenchmarkResult {
  /// The member of the JSON object, in camel case with the unit at its end, such as `matmul1024GFLOPS`.
  let key: String
  /// What was measured, in words.
  let label: String
  let value: Double
  let unit: String

  static func text(_ results: [BenchmarkResult]) -> String {
    var table = Table()
    for result in results {
      let digits = result.value < 10 ? 3 : result.value < 1000 ? 1 : 0
      table.add([result.label, String(format: "%.\(digits)f", result.value), result.unit])
    }
    return table.text
  }

  static func json(_ results: [BenchmarkResult]) -> String {
    var line = JSONLine()
    for result in results { line.add(result.key, result.value) }
    return line.text
  }
}
