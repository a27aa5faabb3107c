import AOTAutograd
import Conformance
import Foundation
import ModelFormats

/// `aot fuzz`
enum Fuzz {
  enum Backend: String, CaseIterable { case cpu, interpret }

  static let folder = Operand(.text("DIR"), "a folder of small .pt2 archives and safetensors files")
  static let cases = Option("cases", .integer(), default: 10_000, "how many to try")
  static let seed = Option("seed", .integer(atLeast: 0), default: 0, "decides all cases, together with their numbers")
  static let first = Option("case", .integer(atLeast: 0), default: 0, "the number of the first case")
  static let backend = Option("backend", .choice as ValueKind<Backend>, default: .cpu, "what compiles the functions")
  static let failures = Option("failures", .integer(), default: 10, "stop after so many failures")
  static let threads = Option(
    "threads", .integer(), default: ProcessInfo.processInfo.activeProcessorCount, "how many to try at a time")

  static let command = Command.group(
    "fuzz", "Looks for inputs that are handled wrongly",
    discussion: "Options without a command are those of functions.", standard: "functions",
    [
      .action(
        "functions", "Compares random functions compiled with what they do eagerly",
        discussion: """
          Functions of views, writes in place and computations get leaves, computed tensors and views of them, and are called
          several times. Elements, aliasing, writes, gradients and errors are compared, also after the caller went on to write
          to what came out. A case that differs is made as small as it gets, and printed as a graph and as a test in Swift.
          """,
        options: [
          cases.parameter, seed.parameter, first.parameter, backend.parameter, failures.parameter, threads.parameter,
        ], run: fuzzFunctions),
      .action(
        "text", "Damages graph texts at random and reads them",
        discussion: """
          Every text must be read or refused by an error, and what is read must print and read back as itself. The texts
          begin as the stages of the digits training.
          """,
        options: [cases.parameter, seed.parameter], run: fuzzText),
      .action(
        "archives", "Damages models and files of tensors at random and reads them",
        discussion: """
          Every file must be read or refused by an error, in a bounded time and memory. The files begin as the .pt2 archives
          and safetensors files in a folder and the folders in it.
          """,
        operands: [folder.parameter], options: [cases.parameter, seed.parameter, first.parameter], run: fuzzArchives),
    ])

  private static func fuzzFunctions(_ arguments: ParsedArguments, _ console: Console) throws {
    let numbers = arguments[first]..<arguments[first] + arguments[cases]
    let compiler: AOTConfiguration.Compiler = arguments[backend] == .cpu ? .cpu : .interpret
    console.print("seed \(arguments[seed]), cases \(numbers.lowerBound) to \(numbers.upperBound - 1)")
    let start = ContinuousClock.now
    let bar = Locked(ProgressBar(total: numbers.count, on: console))
    let report = FunctionFuzzer(seed: UInt64(arguments[seed]), compiler: compiler).run(
      numbers, threadCount: arguments[threads], maximumFailureCount: arguments[failures]
    ) { report in
      bar.withLock { $0.update(report.caseCount, "\(report.failures.count) differ, \(report.refusalCount) refused") }
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    for failure in report.failures { FuzzPrinter.print(failure, console) }
    FuzzPrinter.print(report, seconds: seconds, console)
    guard report.failures.isEmpty else {
      throw DataError(description: "\(report.failures.count) cases differ compiled from what they are eagerly")
    }
  }

  private static func fuzzText(_ arguments: ParsedArguments, _ console: Console) throws {
    let stages = try ExampleFunctions.digits(.mlp)
    let texts = Stage.allCases.compactMap { $0.graph(of: stages)?.description }
    let fuzzer = TextFuzzer(texts: texts, operators: OperatorLibrary.table)
    let report = fuzzer.run(count: arguments[cases], seed: UInt64(arguments[seed]))
    console.print("\(report.parsed) read, \(report.refused) refused, \(report.unstable.count) that did not read back")
    if let first = report.unstable.first {
      throw DataError(description: "this text reads, but its print does not read back as itself:\n\(first)")
    }
  }

  private static func fuzzArchives(_ arguments: ParsedArguments, _ console: Console) throws {
    let files = try TextData.files(inFolder: arguments[folder], extensions: ["pt2", "safetensors"])
    let fuzzer = try ArchiveFuzzer(files, seed: UInt64(arguments[seed]))
    let numbers = arguments[first]..<arguments[first] + arguments[cases]
    var bar = ProgressBar(total: numbers.count, on: console)
    let before = ProcessMemory.peakByteCount
    let report = fuzzer.run(numbers) { number, report in
      if number % 100 == 0 { bar.update(number - numbers.lowerBound, "\(report.read) read, \(report.refused) refused") }
    }
    let slowest = report.slowest
    console.print(
      "\(report.read) read, \(report.ran) of them ran, \(report.refused) refused; slowest \(slowest.duration) "
        + "(case \(slowest.number)), memory grew by \((ProcessMemory.peakByteCount - before) / 1_000_000) MB")
    // A program's JSON may take 64 times its bytes; all else stands on the file.
    let bound = 64 * (files.map(\.count).max() ?? 0) + 256_000_000
    guard slowest.duration < .seconds(10), ProcessMemory.peakByteCount - before < bound else {
      throw DataError(description: "a case took more than 10 s, or memory grew by more than \(bound) bytes")
    }
  }
}
