import AOTAutograd

/// A training step as one program that works in place: forward pass, backward pass and update; see `aotTrainingStep`.
public final class TrainingStep<Output, each Input: TensorTree> {
  private let gradients: StepGradients
  private let accumulate: AOTFunction<Output, repeat each Input>
  private let update: AOTFunction<Output, repeat each Input>
  /// How many batches of the present step have been taken.
  public private(set) var position = 0

  init(
    _ gradients: StepGradients, accumulate: AOTFunction<Output, repeat each Input>,
    update: AOTFunction<Output, repeat each Input>
  ) {
    self.gradients = gradients
    self.accumulate = accumulate
    self.update = update
  }

  /// Takes a batch: updates the parameters where it is the last of a step, and adds up gradients where it is not.
  ///
  /// - Returns: What the loss closure gave, before the update and without history.
  /// - Throws: What the closure throws; `CaptureError` and the compilers' errors, before anything is written.
  public func callAsFunction(_ input: repeat each Input) throws -> Output {
    let isLast = position == gradients.batchCount - 1
    let output = try enableGrad { () throws in
      isLast ? try update(repeat each input) : try accumulate(repeat each input)
    }
    position = isLast ? 0 : position + 1
    return output
  }

  /// What compiling the step gave for these arguments: the whole of it is one graph, `forward`, and its workspace is the memory
  /// that a step needs besides parameters, optimizer state, arguments and results.
  public func stages(_ input: repeat each Input) throws -> AOTStages {
    try enableGrad { () throws in try update.stages(repeat each input) }
  }

  /// The number of programs that the step is compiled into: one per signature of arguments and training mode, and as many again
  /// where gradients are accumulated.
  public var entryCount: Int { update.entryCount + accumulate.entryCount }

  var batchCount: Int { gradients.batchCount }

  /// The sums of gradients and how many batches they are of.
  func accumulationState() throws -> [NamedTensor] {
    let position = NamedTensor("position", try Tensor([position], shape: []))
    let names = gradients.optimizer.parameters.map(\.name)
    return [position] + zip(names, gradients.sums).map { NamedTensor("sums.\($0)", $1) }
  }

  func setPosition(_ position: Int) { self.position = position }
}

/// Compiles a training step, forward pass, backward pass and update, into one program that works in place.
///
///     let optimizer = try Optimizer(model, AdamW(), learningRate: 1e-3)
///     let step = try aotTrainingStep(model, optimizer) { model, x, y in try model(x).crossEntropyLoss(y) }
///     let loss = try step(x, y)
///
/// Parameters, buffers and optimizer state are written to where they are; they, the learning rate and the training mode may be
/// changed between calls. Gradients are no more than values inside the program: nobody's `grad` is read or set.
///
/// - Parameters:
///   - model: Handed to the closure.
///   - optimizer: What updates the parameters.
///   - clipping: What is done to gradients first.
///   - accumulating: How many calls make a step: each adds its gradients, divided by this, and the last updates.
///   - configuration: Compilers. With the compiler `.none` each call runs the closure.
///   - loss: Gives the loss, of one element. It runs at the first call with each signature.
public func aotTrainingStep<Model: Module, each Input: TensorTree>(
  _ model: Model, _ optimizer: Optimizer, clipping: GradientClipping? = nil, accumulating batchCount: Int = 1,
  configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  loss: @escaping (Model, repeat each Input) throws -> Tensor
) throws -> TrainingStep<Tensor, repeat each Input> {
  let gradients = try StepGradients(optimizer, clipping: clipping, batchCount: batchCount)
  return TrainingStep(
    gradients,
    accumulate: aotModule(model, configuration: configuration, file: file, line: line) {
      (model: Model, input: repeat each Input) in
      try gradients.accumulate(loss(model, repeat each input))
    },
    update: aotModule(model, configuration: configuration, file: file, line: line) {
      (model: Model, input: repeat each Input) in
      try gradients.update(loss(model, repeat each input))
    })
}

/// As above, for a closure that gives more than the loss, such as how many answers were right.
///
/// - Returns: A step that gives both.
public func aotTrainingStep<Model: Module, each Input: TensorTree, Output: TensorTree>(
  _ model: Model, _ optimizer: Optimizer, clipping: GradientClipping? = nil, accumulating batchCount: Int = 1,
  configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  loss: @escaping (Model, repeat each Input) throws -> (Tensor, Output)
) throws -> TrainingStep<(Tensor, Output), repeat each Input> {
  let gradients = try StepGradients(optimizer, clipping: clipping, batchCount: batchCount)
  return TrainingStep(
    gradients,
    accumulate: aotModule(model, configuration: configuration, file: file, line: line) {
      (model: Model, input: repeat each Input) in
      let (loss, output) = try loss(model, repeat each input)
      return (try gradients.accumulate(loss), try output.withoutHistory())
    },
    update: aotModule(model, configuration: configuration, file: file, line: line) {
      (model: Model, input: repeat each Input) in
      let (loss, output) = try loss(model, repeat each input)
      return (try gradients.update(loss), try output.withoutHistory())
    })
}

extension TensorTree {
  /// The same values, which keep nothing alive that they were computed from.
  fileprivate func withoutHistory() throws -> Self {
    try mapTensors { try $0.requiresGrad ? $0.detach() : $0 }
  }
}
