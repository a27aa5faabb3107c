import AOTArtifacts
import EagerAutograd
import Functionalization
import GraphIR
import Operators
import TensorCore
import XCTest

/// Random programs of views, writes and computations mean the same eagerly and through the stages.
final class FunctionalizationFuzzTests: XCTestCase {
  func testRandomProgramsKeepTheirMeaning() throws { try check(seeds: 0..<250, withGradients: false) }

  func testRandomProgramsKeepTheirGradients() throws { try check(seeds: 10_000..<10_250, withGradients: true) }

  private func check(seeds: Range<UInt64>, withGradients: Bool) throws {
    var refusalCount = 0
    for seed in seeds {
      let program = RandomProgram(seed: seed, stepCount: 3 + Int(seed % 12), withGradients: withGradients)
      do {
        if let difference = try difference(program) { return XCTFail("seed \(seed): \(difference)") }
      } catch {
        // What has no functional form is refused, and says so.
        refusalCount += 1
        XCTAssertTrue("\(error)".contains("memory"), "seed \(seed): \(error)")
      }
    }
    XCTAssertLessThan(refusalCount, seeds.count / 20)
  }

  /// How eager and staged runs of a program differ; nil where they do not, or where the eager run throws.
  private func difference(_ program: RandomProgram) throws -> String? {
    let (eagerInputs, eagerLeaves) = try program.makeInputs()
    guard let eagerOutputs = try? program(eagerInputs) else { return nil }
    let eagerTensors = eagerInputs + eagerOutputs.compactMap(\.reference)
    do { try backward(eagerTensors) } catch { return nil }

    let (inputs, leaves) = try program.makeInputs()
    let capture = try captured(inputs) { try program($0) }
    let outputs = try staged(capture)(inputs.map { .reference($0) })
    let tensors = inputs + outputs.compactMap(\.reference)
    func report(_ text: String) -> String {
      "\(text)\n\(capture.module.graph)\n\((try? capture.functionalized().module.graph.description) ?? "")"
    }

    guard eagerOutputs.count == outputs.count, eagerTensors.count == tensors.count else {
      return report("other outputs")
    }
    for (position, (eager, staged)) in zip(eagerTensors, tensors).enumerated() {
      if eager.layout != staged.layout { return report("value \(position): \(staged.layout) for \(eager.layout)") }
      if eager.requiresGrad != staged.requiresGrad { return report("value \(position): requires_grad differs") }
      if let text = try difference(eager, staged) { return report("value \(position): \(text)") }
    }
    if let text = aliasing(eagerTensors, tensors) { return report(text) }
    try backward(tensors)
    for (index, (eager, staged)) in zip(eagerLeaves, leaves).enumerated() {
      // No gradient and a gradient of zeros are as good as each other.
      let zeros = try Tensor.zeros(eager.shape, dtype: eager.dtype)
      if let text = try difference(eager.grad ?? zeros, staged.grad ?? zeros) {
        return report("gradient of leaf \(index): \(text)")
      }
    }
    return nil
  }

  private func difference(_ eager: Tensor, _ staged: Tensor) throws -> String? {
    guard eager.dtype == staged.dtype, eager.sizes == staged.sizes else {
      return "\(staged.dtype) \(staged.sizes) for \(eager.dtype) \(eager.sizes)"
    }
    let (a, b) = try noGrad { (try doubles(eager), try doubles(staged)) }
    for (x, y) in zip(a, b) where abs(x - y) > 1e-5 * max(1, abs(x)) { return "\(b) for \(a)" }
    return nil
  }

  private func doubles(_ tensor: Tensor) throws -> [Double] {
    try tensor.converted(to: .float64).elements(as: Double.self)
  }

  private func aliasing(_ eager: [Tensor], _ staged: [Tensor]) -> String? {
    for i in eager.indices {
      for j in eager.indices where j > i {
        if (eager[i] === eager[j]) != (staged[i] === staged[j]) { return "values \(i) and \(j): one tensor or two" }
        if (eager[i].storage === eager[j].storage) != (staged[i].storage === staged[j].storage) {
          return "values \(i) and \(j): one storage or two"
        }
      }
    }
    return nil
  }

  /// The gradients of a weighted sum of everything that has a history.
  private func backward(_ values: [Tensor]) throws {
    var total: Tensor?
    for (index, value) in values.enumerated() where value.requiresGrad {
      let term = try (value * value).converted(to: .float64).sum() * Double(index + 1)
      total = try total.map { try $0 + term } ?? term
    }
    try total?.backward()
  }
}
