/// What an input or output of a graph is, in the terms of the function that the user wrote.
public indirect enum Descriptor: Hashable, Sendable {
  // Inputs
  /// The user's input at this flat position.
  case input(Int)
  /// A tensor that the closure captured, in order of first use.
  case closedOver(Int)
  /// The gradient that flows into an output.
  case tangent(of: Descriptor)
  /// The tensor that several aliasing inputs are views of.
  case syntheticBase(of: [Descriptor])
  /// The token that orders effects of one kind.
  case token(Int)
  case randomKey
  case randomCounter
  // Outputs
  /// The user's output at this flat position.
  case output(Int)
  /// The new value of an input that was written to.
  case mutated(Descriptor)
  /// The base of outputs that are views of one intermediate value.
  case intermediateBase(Int)
  /// The gradient with respect to an input.
  case gradient(of: Descriptor)
  // Both
  /// A value that the forward graph keeps for the backward graph.
  case saved(Int)
  /// The inner tensor of that name of a tensor of a wrapper subclass.
  case inner(String, of: Descriptor)
}

extension Descriptor {
  /// What this is, or what it is an inner tensor of.
  public var outermost: Descriptor { if case .inner(_, let outer) = self { outer.outermost } else { self } }
}
