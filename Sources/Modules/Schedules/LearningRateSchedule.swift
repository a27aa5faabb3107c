import AOTAutograd
import Foundation

/// A learning rate for each step of a training, as a function of the step: PyTorch's `torch.optim.lr_scheduler`.
public protocol LearningRateSchedule: Sendable {
  /// - Parameters:
  ///   - step: From 0.
  ///   - initial: The rate that the parameter group was made with.
  func rate(at step: Int, initial: Double) -> Double
}

/// The initial rate times `gamma` once every `stepSize` steps.
public struct StepLR: LearningRateSchedule {
  private let stepSize: Int
  private let gamma: Double

  /// - Throws: `ModuleError` where `stepSize` is not positive.
  public init(stepSize: Int, gamma: Double = 0.1) throws(ModuleError) {
    self.stepSize = try stepSize.checkedStepCount("stepSize of StepLR")
    self.gamma = gamma
  }

  public func rate(at step: Int, initial: Double) -> Double { initial * pow(gamma, Double(step / stepSize)) }
}

/// The initial rate times `gamma` at each of some steps.
public struct MultiStepLR: LearningRateSchedule {
  private let milestones: [Int]
  private let gamma: Double

  public init(milestones: [Int], gamma: Double = 0.1) {
    self.milestones = milestones
    self.gamma = gamma
  }

  public func rate(at step: Int, initial: Double) -> Double {
    initial * pow(gamma, Double(milestones.count { $0 <= step }))
  }
}

/// The initial rate times `gamma` at each step.
public struct ExponentialLR: LearningRateSchedule {
  private let gamma: Double

  public init(gamma: Double) { self.gamma = gamma }

  public func rate(at step: Int, initial: Double) -> Double { initial * pow(gamma, Double(step)) }
}

/// From the initial rate to a least one along half a cosine: I. Loshchilov and F. Hutter, 2017, without restarts.
public struct CosineAnnealingLR: LearningRateSchedule {
  private let stepCount: Int
  private let minimum: Double

  /// - Parameter stepCount: How many steps it takes; the cosine goes on after that.
  /// - Throws: `ModuleError` where it is not positive.
  public init(stepCount: Int, minimum: Double = 0) throws(ModuleError) {
    self.stepCount = try stepCount.checkedStepCount("stepCount of CosineAnnealingLR")
    self.minimum = minimum
  }

  public func rate(at step: Int, initial: Double) -> Double {
    minimum + (initial - minimum) * (1 + cos(.pi * Double(step) / Double(stepCount))) / 2
  }
}

/// From one share of the initial rate to another along a line, and constant after that: a warm-up.
public struct LinearLR: LearningRateSchedule {
  private let start, end: Double
  private let stepCount: Int

  /// - Throws: `ModuleError` where `stepCount` is not positive.
  public init(from start: Double = 1.0 / 3, to end: Double = 1, stepCount: Int = 5) throws(ModuleError) {
    (self.start, self.end) = (start, end)
    self.stepCount = try stepCount.checkedStepCount("stepCount of LinearLR")
  }

  public func rate(at step: Int, initial: Double) -> Double {
    initial * (start + (end - start) * Double(min(step, stepCount)) / Double(stepCount))
  }
}

/// Schedules one after the other, each beginning with its step 0.
public struct SequentialLR: LearningRateSchedule {
  private let schedules: [any LearningRateSchedule]
  private let milestones: [Int]

  /// - Parameter milestones: The steps at which the second schedule and those after it begin, ascending.
  /// - Throws: `ModuleError` where there is not one for each but the first.
  public init(_ schedules: [any LearningRateSchedule], milestones: [Int]) throws(ModuleError) {
    guard schedules.count == milestones.count + 1, zip(milestones, milestones.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw ModuleError(
        .invalidSetting,
        "SequentialLR: \(schedules.count) schedules need one milestone less, in ascending order; got \(milestones)")
    }
    self.schedules = schedules
    self.milestones = milestones
  }

  public func rate(at step: Int, initial: Double) -> Double {
    let begun = milestones.count { $0 <= step }
    return schedules[begun].rate(at: step - (begun == 0 ? 0 : milestones[begun - 1]), initial: initial)
  }
}

/// Up to a highest rate and down far below the first one: L. N. Smith and N. Topin, 2018. The initial rate does not matter.
public struct OneCycleLR: LearningRateSchedule {
  public enum Annealing: Sendable { case cosine, linear }

  private let maximum: Double
  private let stepCount: Int
  private let riseShare, divisor, finalDivisor: Double
  private let annealing: Annealing

  /// - Parameters:
  ///   - maximum: The highest rate.
  ///   - stepCount: How many steps there are; the last one's rate holds after that.
  ///   - riseShare: The share of the steps in which the rate rises: `pct_start`.
  ///   - annealing: How it rises and falls.
  ///   - divisor: The highest rate is this many times the first: `div_factor`.
  ///   - finalDivisor: The first rate is this many times the last: `final_div_factor`.
  /// - Throws: `ModuleError` for settings that make no sense.
  public init(
    maximum: Double, stepCount: Int, riseShare: Double = 0.3, annealing: Annealing = .cosine, divisor: Double = 25,
    finalDivisor: Double = 1e4
  ) throws(ModuleError) {
    guard 0...1 ~= riseShare, divisor > 0, finalDivisor > 0 else {
      throw ModuleError(
        .invalidSetting,
        "OneCycleLR: the rise takes a share of the steps, not \(riseShare), and divisors are positive")
    }
    self.maximum = maximum
    self.stepCount = try stepCount.checkedStepCount("stepCount of OneCycleLR")
    self.riseShare = riseShare
    self.annealing = annealing
    self.divisor = divisor
    self.finalDivisor = finalDivisor
  }

  public func rate(at step: Int, initial: Double) -> Double {
    let first = maximum / divisor
    let peak = riseShare * Double(stepCount) - 1
    let last = Double(stepCount - 1)
    let place = min(Double(step), last)
    if place <= peak { return between(first, maximum, peak > 0 ? place / peak : 1) }
    return between(maximum, first / finalDivisor, last > peak ? (place - peak) / (last - peak) : 1)
  }

  private func between(_ start: Double, _ end: Double, _ share: Double) -> Double {
    switch annealing {
    case .cosine: end + (start - end) / 2 * (1 + cos(.pi * share))
    case .linear: start + (end - start) * share
    }
  }
}

/// The initial rate times a function of the step.
public struct LambdaLR: LearningRateSchedule {
  private let factor: @Sendable (Int) -> Double

  public init(_ factor: @escaping @Sendable (_ step: Int) -> Double) { self.factor = factor }

  public func rate(at step: Int, initial: Double) -> Double { initial * factor(step) }
}

extension Int {
  fileprivate func checkedStepCount(_ what: String) throws(ModuleError) -> Int {
    guard self > 0 else { throw ModuleError(.invalidSetting, "\(what) is \(self); it has to be positive") }
    return self
  }
}
