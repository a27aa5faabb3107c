import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

@testable import Conformance

/// First and second derivatives of every differentiable operator against finite differences, in float64, at the arguments
/// of recorded calls.
final class OperatorGradientTests: XCTestCase {
  /// Calls checked of each operator.
  private static let callCount = 3

  func testGradients() throws { try check { try gradcheck($0, $1, $2) } }

  func testGradientsOfGradients() throws {
    // PyTorch refuses the second derivative of `pdist` as well.
    try check(except: ["_pdist_forward.default"]) { try gradgradcheck($0, $1, $2) }
  }

  private typealias Check = (
    _ inputs: [Tensor], _ options: GradientCheckOptions, _ function: ([Tensor]) throws -> [Tensor]
  ) throws -> Void

  private func check(except exceptions: [String] = [], _ check: Check) throws {
    let facts = try OperatorFacts(folder: Facts.operators)
    let cases = Dictionary(grouping: facts.cases.filter { $0.gradient != nil }, by: \.operatorName)
    var unchecked: [String] = []
    for definition in OperatorLibrary.all {
      let name = "\(definition.name.base).\(definition.name.overload)"
      if exceptions.contains(name) || definition.derivative?.isEmpty == true { continue }
      var checked = 0
      for item in (cases[name] ?? []).sorted(by: { $0.elementCount < $1.elementCount }) {
        guard checked < Self.callCount else { break }
        do {
          guard let sample = try GradientSample(item, definition, facts) else { continue }
          try check(sample.inputs, sample.options, sample.function)
          checked += 1
        } catch {
          XCTFail("\(item.id): \(error)")
        }
      }
      if checked == 0, definition.isDifferentiated { unchecked.append(name) }
    }
    print("no recorded call to check: \(unchecked.sorted())")
  }
}

extension OperatorDefinition {
  fileprivate var isDifferentiated: Bool { derivative?.isEmpty == false }
}

extension OperatorCase {
  fileprivate var elementCount: Int { inputs.reduce(0) { $0 + $1.layout.elementCount.value } }
}

/// A recorded call in float64.
private struct GradientSample {
  let inputs: [Tensor]
  let options: GradientCheckOptions
  let function: ([Tensor]) throws -> [Tensor]

  /// nil where finite differences cannot tell: at infinities, at numbers too large, without elements.
  init?(_ item: OperatorCase, _ target: OperatorDefinition, _ facts: OperatorFacts) throws {
    let differentiated = Set((item.gradient?.inputs ?? []).filter { $0.elements != nil }.map(\.input))
    let noise = Generator(seed: 1)
    var inputs: [Tensor] = []
    for (index, recorded) in item.inputs.enumerated() {
      let tensor = try facts.tensor(recorded)
      guard tensor.dtype.isFloatingPoint else {
        inputs.append(tensor)
        continue
      }
      var dense = try tensor.to(.float64).clone(memoryFormat: .contiguous)
      guard try dense.elements(as: Double.self).allSatisfy({ abs($0) < 100 }) else { return nil }
      if differentiated.contains(index) {
        // Away from ties and from the kinks that small whole numbers often are.
        dense = try dense + Tensor.randn(dense.shape, dtype: .float64, generator: noise) * 1e-3
        dense = try dense.requiringGrad()
      }
      inputs.append(dense)
    }
    guard inputs.contains(where: { $0.requiresGrad && $0.elementCount > 0 }) else { return nil }
    let keywords = item.arguments.mapValues(\.inDouble).sorted { $0.key < $1.key }
    self.inputs = inputs
    self.function = { inputs in
      // An operator that writes in place writes to a copy of the leaf.
      let inputs = try target.mutates ? inputs.map { try $0.copiedWithMemory() } : inputs
      let result = try target.evaluate(
        target.schema.bind([], keywords: keywords.map { (name: $0.key, value: try $0.value.value(inputs)) }))
      return result.references
    }
    var options = GradientCheckOptions()
    options.usesRandomDirection = true
    self.options = options
    let results: [Tensor]
    do {
      results = try function(inputs).filter { $0.dtype.isFloatingPoint }
    } catch let error as OperatorError where error.code == .elements {
      // The noise moved an argument out of the operator's domain: it was at the border.
      return nil
    }
    guard try results.allSatisfy({ try $0.to(.float64).elements(as: Double.self).allSatisfy(\.isFinite) }),
      results.contains(where: { $0.dtype == .float64 && $0.requiresGrad && $0.elementCount > 0 })
    else { return nil }
  }
}

extension RecordedValue {
  /// The argument with floating-point dtypes made float64.
  fileprivate var inDouble: RecordedValue {
    switch self {
    case .dtype(let dtype) where dtype.isFloatingPoint: .dtype(.float64)
    case .list(let values): .list(values.map(\.inDouble))
    default: self
    }
  }
}
