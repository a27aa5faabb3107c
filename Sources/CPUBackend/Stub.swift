import LoopIR
public final class CPUBackend: LoopBackend {
  public static let shared = CPUBackend();
  public func compile(_ program: LoopProgram) throws -> any LoopExecutable { throw LoopError(.unsupported, "") }
}
