import LoopIR

/// Runs loop programs on the CPU: loops as register programs over tiles that fit the cache, matrix products blocked and
/// packed, both on all cores where the work is worth it.
public struct CPUBackend: LoopBackend {
  public static let shared = CPUBackend()

  public init() {}

  /// Prepares the program as it stands; fuse it first (`LoopProgram.fused()`) where it has several kernels.
  ///
  /// - Throws: `LoopError` where an operation has no meaning for its operands' dtype.
  public func compile(_ program: LoopProgram) throws -> any LoopExecutable {
    try CPUProgram(program)
  }
}
