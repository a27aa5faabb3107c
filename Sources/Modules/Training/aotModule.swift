import AOTAutograd

/// Compiles a module: what `aotFunction` does with a closure that captures it.
///
///     let compiled = aotModule(model)
///     let logits = try compiled(images)
///
/// The compiled function sees the values that parameters and buffers have at each call, and writes to buffers as the module does. It
/// is compiled anew where a parameter or buffer has been replaced by another tensor, or a module's training mode is another. What
/// modules hold besides is taken as constant.
public func aotModule(
  _ module: some Layer, configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line
) -> AOTFunction<Tensor, Tensor> {
  aotFunction(configuration: configuration, file: file, line: line) { (input: Tensor) in try module(input) }
}

/// Compiles a module of any signature: `aotModule(model) { model, x, mask in try model(x, mask: mask) }`.
///
/// - Parameter forward: Calls the module.
public func aotModule<Model: Module, each Input: TensorTree, Output: TensorTree>(
  _ module: Model, configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  _ forward: @escaping (Model, repeat each Input) throws -> Output
) -> AOTFunction<Output, repeat each Input> {
  aotFunction(configuration: configuration, file: file, line: line) { (input: repeat each Input) in
    try forward(module, repeat each input)
  }
}

/// As above, for a closure that gives a tuple.
public func aotModule<Model: Module, each Input: TensorTree, each Output: TensorTree>(
  _ module: Model, configuration: AOTConfiguration = .init(), file: String = #fileID, line: Int = #line,
  _ forward: @escaping (Model, repeat each Input) throws -> (repeat each Output)
) -> AOTFunction<(repeat each Output), repeat each Input> {
  aotFunction(configuration: configuration, file: file, line: line) { (input: repeat each Input) in
    try forward(module, repeat each input)
  }
}
