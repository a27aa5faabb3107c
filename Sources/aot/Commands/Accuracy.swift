import Foundation

/// `aot bench accuracy`
enum Accuracy {
  static let function = Option("function", .optionalText("NAME"), default: nil, "measure this function only")
  static let stride = Option("stride", .integer(), default: 1, "take every N-th number or pair of numbers")

  static let command = Command.action(
    "accuracy", "Errors of float32 elementary functions over all numbers, against the C library's float64 functions",
    discussion: """
      Errors are in units in the last place of the exact result. Functions of two numbers are given 2³² pairs: every
      combination of sign, exponent and leading bits. All functions of all numbers take about an hour on two cores; use a
      release build.
      """,
    options: [function.parameter, stride.parameter, Bench.json.parameter], run: run)

  private static func run(_ arguments: ParsedArguments, _ console: Console) throws {
    let name = arguments[function]
    let subjects = AccuracySubject.all.filter { name == nil || $0.name == name }
    if subjects.isEmpty {
      let names = AccuracySubject.all.map(\.name).joined(separator: ", ")
      throw DataError(description: "there is no function '\(name ?? "")'; there are \(names)")
    }
    var progress = ProgressBar(total: subjects.count, on: console)
    var table = Table(["function", "largest error", "at", "above 1 ulp", "inputs"])
    var lines: [String] = []
    for (done, subject) in subjects.enumerated() {
      progress.update(done, subject.name)
      let finding = try AccuracyBenchmark.measure(subject, stride: arguments[stride])
      let place = [finding.operands.0, finding.operands.1].prefix(subject.operandCount)
        .map { "\($0)" }.joined(separator: ", ")
      let error = String(format: "%.4f ulp", finding.largestError)
      table.add([subject.name, error, place, "\(finding.countOverOne)", "\(finding.count)"])
      var line = JSONLine()
      line.add("function", subject.name)
      line.add("largestErrorUlp", finding.largestError)
      line.add("at", place)
      line.add("countOverOneUlp", finding.countOverOne)
      line.add("count", finding.count)
      lines.append(line.text)
    }
    progress.update(subjects.count, "")
    console.print(table.text)
    if arguments[Bench.json] { for line in lines { console.print(line) } }
  }
}
