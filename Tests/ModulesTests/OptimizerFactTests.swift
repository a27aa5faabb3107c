import Modules
import XCTest

/// Optimizers, schedules and clipping do what PyTorch's do.
final class OptimizerFactTests: XCTestCase {
  private typealias Make = ([NamedTensor]) throws -> Optimizer

  private static func all(_ rule: some UpdateRule, rate: Double) -> Make {
    { try Optimizer($0, rule, learningRate: rate) }
  }

  private static func optimizers() throws -> [String: Make] {
    try [
      "sgd": all(SGD(), rate: 0.1),
      "sgd_decay": all(SGD(momentum: 0, weightDecay: 0.2), rate: 0.1),
      "sgd_momentum": all(SGD(momentum: 0.9), rate: 0.1),
      "sgd_dampening": all(SGD(momentum: 0.8, dampening: 0.4, weightDecay: 0.1), rate: 0.1),
      "sgd_nesterov": all(SGD(momentum: 0.9, weightDecay: 0.1, nesterov: true), rate: 0.1),
      "adam": all(Adam(), rate: 0.05),
      "adam_decay": all(Adam(betas: (0.8, 0.95), eps: 1e-6, weightDecay: 0.1), rate: 0.05),
      "adam_amsgrad": all(Adam(betas: (0.5, 0.6), amsgrad: true), rate: 0.05),
      "adamw": all(AdamW(), rate: 0.05),
      "adamw_amsgrad": all(AdamW(betas: (0.5, 0.6), weightDecay: 0.3, amsgrad: true), rate: 0.05),
      "adamw_groups": { parameters in
        try Optimizer([
          ParameterGroup(Array(parameters[..<1]), AdamW(weightDecay: 0.1), learningRate: 0.02),
          ParameterGroup(Array(parameters[1...]), AdamW(weightDecay: 0), learningRate: 0.05),
        ])
      },
    ]
  }

  func testTrajectoriesAreThoseOfPyTorch() throws {
    let facts = try Facts.read("optimizers", as: [Facts.OptimizerCase].self)
    let optimizers = try Self.optimizers()
    XCTAssertEqual(facts.map(\.name).sorted(), optimizers.keys.sorted())
    for fact in facts {
      for (dtype, accuracy) in [(DType.float64, 1e-9), (.float32, 2e-6)] {
        for isCompiled in [false, true] {
          let name = "\(fact.name), \(dtype)\(isCompiled ? ", compiled" : "")"
          let parameters = try fact.parameters.enumerated().map { index, parameter in
            NamedTensor("\(index)", try parameter.tensor(dtype).requiringGrad())
          }
          let optimizer = try XCTUnwrap(optimizers[fact.name])(parameters)
          let update = aotFunction { (gradients: [Tensor?]) in try optimizer.update(by: gradients) }
          for (number, step) in fact.steps.enumerated() {
            let gradients = try step.gradients.map { try $0?.tensor(dtype) }
            if isCompiled {
              try noGrad { try update(gradients) }
            } else {
              for (parameter, gradient) in zip(parameters, gradients) { parameter.tensor.grad = gradient }
              try optimizer.step()
            }
            for (parameter, want) in zip(parameters, step.parameters) {
              try assertClose(
                parameter.tensor, want, "\(name), parameter \(parameter.name) after step \(number)",
                accuracy: accuracy)
            }
          }
          // One for all gradients, one for those with one missing.
          if isCompiled { XCTAssertEqual(update.entryCount, 2, name) }
        }
      }
    }
  }

  func testSchedulesAreThoseOfPyTorch() throws {
    let schedules: [String: any LearningRateSchedule] = try [
      "step": StepLR(stepSize: 3, gamma: 0.5),
      "multi_step": MultiStepLR(milestones: [2, 5], gamma: 0.1),
      "exponential": ExponentialLR(gamma: 0.8),
      "cosine": CosineAnnealingLR(stepCount: 8, minimum: 0.002),
      "linear": LinearLR(from: 0.25, to: 1, stepCount: 4),
      "sequential": SequentialLR(
        [
          LinearLR(from: 0.1, to: 1, stepCount: 4), CosineAnnealingLR(stepCount: 6, minimum: 0.01),
          ExponentialLR(gamma: 0.9),
        ], milestones: [4, 10]),
      "one_cycle": OneCycleLR(maximum: 0.5, stepCount: 20),
      "one_cycle_linear": OneCycleLR(
        maximum: 0.5, stepCount: 20, riseShare: 0.4, annealing: .linear, divisor: 10, finalDivisor: 100),
      "lambda": LambdaLR { 1 / (1 + Double($0)) },
    ]
    let facts = try Facts.read("schedules", as: [Facts.ScheduleCase].self)
    XCTAssertEqual(facts.map(\.name).sorted(), schedules.keys.sorted())
    for fact in facts {
      let parameter = NamedTensor("p", try Tensor.zeros([1]).requiringGrad())
      let optimizer = try Optimizer([parameter], SGD(), learningRate: fact.initial)
      let scheduler = try LearningRateScheduler(optimizer, XCTUnwrap(schedules[fact.name]))
      for (step, want) in fact.rates.enumerated() {
        XCTAssertEqual(
          try optimizer.groups[0].learningRate, want, accuracy: 1e-12, "\(fact.name), step \(step)")
        try scheduler.step()
      }
    }
  }

  func testClippingIsThatOfPyTorch() throws {
    let clippings: [String: GradientClipping] = [
      "norm": .norm(0.5), "norm_not_reached": .norm(50), "norm_infinity": .norm(0.5, order: .infinity),
      "value": .value(0.25),
    ]
    let facts = try Facts.read("clippings", as: [Facts.ClippingCase].self)
    XCTAssertEqual(facts.map(\.name).sorted(), clippings.keys.sorted())
    for fact in facts {
      let clipping = try XCTUnwrap(clippings[fact.name])
      let parameters = try fact.before.map { gradient in
        let parameter = try Tensor.zeros(gradient.shape, dtype: .float64).requiringGrad()
        parameter.grad = try gradient.tensor()
        return parameter
      }
      let norm = try clipping.clip(parameters)
      XCTAssertEqual(norm == nil, fact.norm == nil, fact.name)
      if let want = fact.norm { XCTAssertEqual(try XCTUnwrap(norm).item().doubleValue, want, accuracy: 1e-9) }
      for (parameter, want) in zip(parameters, fact.after) { try assertClose(parameter.grad, want, fact.name) }
    }
  }

  func testWhatMakesNoSenseIsRefused() throws {
    let parameter = NamedTensor("p", try Tensor.zeros([1]).requiringGrad())
    assertThrows(.invalidSetting, "Nesterov") { try SGD(momentum: 0, nesterov: true) }
    assertThrows(.invalidSetting) { try Adam(betas: (1, 0.9)) }
    assertThrows(.invalidSetting, "negative") { try Optimizer([parameter], SGD(), learningRate: -1) }
    assertThrows(.duplicateName) { try Optimizer([parameter, parameter], SGD(), learningRate: 1) }
    assertThrows(.notTrainable, "'x'") {
      try Optimizer([NamedTensor("x", try parameter.tensor * 2)], SGD(), learningRate: 1)
    }
    assertThrows(.notTrainable, "int64") {
      try Optimizer([NamedTensor("i", try Tensor([1, 2]))], SGD(), learningRate: 1)
    }
    assertThrows(.invalidSetting) { try StepLR(stepSize: 0) }
    assertThrows(.invalidSetting) { try SequentialLR([ExponentialLR(gamma: 1)], milestones: [2]) }
    let optimizer = try Optimizer([parameter], SGD(), learningRate: 1)
    assertThrows(.invalidSetting) { try optimizer.update(by: []) }
  }
}
