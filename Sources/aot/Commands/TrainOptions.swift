import AOTAutograd
import Foundation

/// What both `aot train` commands understand.
enum TrainOptions {
  static let seed = Option(
    "seed", .integer(atLeast: 0), default: 0, "seed of the parameters and of the order of batches")
  static let eager = Option.flag("eager", "run operator by operator, without compiling, for comparison")
  static let json = Option.flag("json", "print the result as one line of JSON last")

  static let checkpoint = Option(
    "checkpoint", .optionalText("FILE"), default: nil, "save the training to a safetensors file as it goes on")
  static let resume = Option.flag("resume", "go on from the checkpoint as if the training had never stopped")

  static let all = [
    seed.parameter, checkpoint.parameter, resume.parameter, eager.parameter, json.parameter,
  ]

  static let discussion = """
    With --json, captureMs and compileMs are the times of all stages for the program of a step, firstStepMs the first
    step with these in it, steadyStepMs the median of the steps after it, savedBytes what is kept between
    a forward and a backward program, which a step that is one program has none of, workspaceBytes what a step needs besides
    parameters, optimizer state and data, and peakBytes the most memory that the process has had in RAM.
    """

  /// The file to save to.
  ///
  /// - Throws: `DataError` where a training is to be resumed from none.
  static func file(_ arguments: ParsedArguments) throws(DataError) -> URL? {
    let file = arguments[checkpoint].map { URL(fileURLWithPath: $0) }
    guard file != nil || !arguments[resume] else {
      throw DataError(description: "there is nothing to resume from; say --checkpoint FILE")
    }
    return file
  }

  static func configuration(_ arguments: ParsedArguments) -> AOTConfiguration {
    AOTConfiguration(compiler: arguments[eager] ? .none : .cpu)
  }
}
