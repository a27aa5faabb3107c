import AOTAutograd
import Foundation

/// Training of a byte-level GPT: one compiled function for loss and gradients, one for the update, one to generate.
struct GPTTraining {
  let model: GPT
  private let size: GPT.Size
  private let batchSize: Int
  private let data: TextData
  private var random: SeededRandom
  private var optimizer: AdamW
  private let loss: AOTFunction<Tensor, Tensor, Tensor, GPT>
  private let lastLogits: AOTFunction<Tensor, Tensor, GPT>

  init(_ size: GPT.Size, batchSize: Int, data: TextData, seed: Int, configuration: AOTConfiguration) throws {
    random = SeededRandom(seed: seed)
    model = try GPT(size, from: &random)
    optimizer = try AdamW(model.tensors, configuration: configuration)
    self.size = size
    self.batchSize = batchSize
    self.data = data
    loss = aotFunction(configuration: configuration) { (input: Tensor, targets: Tensor, model: GPT) in
      try model.loss(input, targets)
    }
    lastLogits = aotFunction(configuration: configuration) { (input: Tensor, model: GPT) in
      try model(input).select(1, -1)
    }
  }

  /// Takes one step on random sequences.
  ///
  /// - Returns: The loss before the step, in nats per byte.
  mutating func step(rate: Double) throws -> Double {
    let (input, targets) = try randomBatch()
    let result = try loss(input, targets, model)
    try result.backward()
    try optimizer.step(rate: rate)
    return Double(try result.elements(as: Float.self)[0])
  }

  private mutating func randomBatch() throws -> (inputs: Tensor, targets: Tensor) {
    let starts = TextData.starts(in: data.training, count: batchSize, context: size.context, by: &random)
    return try TextData.batch(data.training, starts: starts, context: size.context)
  }

  /// The mean loss over disjoint sequences of the text that training does not see, in nats per byte.
  func validationLoss() throws -> Double {
    let starts = TextData.coveringStarts(in: data.validation, context: size.context)
    var losses: [Double] = []
    for first in stride(from: 0, to: starts.count, by: batchSize) {
      // The last batch is filled up from before, so that all have the shape that is compiled already.
      let batch = (first..<first + batchSize).map { starts[$0 < starts.count ? $0 : $0 % starts.count] }
      let (input, targets) = try TextData.batch(data.validation, starts: batch, context: size.context)
      losses.append(Double(try noGrad { try loss(input, targets, model) }.elements(as: Float.self)[0]))
    }
    return losses.reduce(0, +) / Double(losses.count)
  }

  /// Continues the text that training does not see, drawing each byte from the model's distribution at a temperature.
  mutating func sample(count: Int, temperature: Double = 0.8) throws -> (prompt: String, continuation: String) {
    var bytes = Array(data.validation.prefix(size.context))
    for _ in 0..<count {
      let input = try Tensor(bytes.suffix(size.context).map { Int64($0) }, shape: [1, size.context])
      let logits = try noGrad { try lastLogits(input, model) }.elements(as: Float.self)
      bytes.append(UInt8(truncatingIfNeeded: draw(logits.map { Double($0) / temperature })))
    }
    return (
      String(decoding: bytes.prefix(size.context), as: UTF8.self),
      String(decoding: bytes.dropFirst(size.context), as: UTF8.self)
    )
  }

  private mutating func draw(_ logits: [Double]) -> Int {
    let largest = logits.max() ?? 0
    let weights = logits.map { exp($0 - largest) }
    var rest = Double(random.uniform()) * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return index }
    }
    return weights.count - 1
  }

  /// What compiling a step gave.
  mutating func functions() throws -> [(name: String, stages: AOTStages)] {
    let (input, targets) = try randomBatch()
    return [("loss", try loss.stages(input, targets, model)), ("update", try optimizer.stages())]
  }
}
