import AOTAutograd
import GraphIR
import TensorCore

/// Makes a call as a compiled function of some tensors.
///
/// - Parameter body: The call, of tensors that stand for `inputs` in their order; its result may be any value.
package func compiledCall(
  _ inputs: [Tensor], _ configuration: AOTConfiguration = .init(), _ body: @escaping ([Tensor]) throws -> Value
) throws -> Value {
  // The structure of the result is known while capturing; a call gives its tensors.
  var structure = Value.none
  let function = aotFunction(configuration: configuration) { (inputs: [Tensor]) in
    structure = try body(inputs)
    return structure.references
  }
  var results = try function(inputs).makeIterator()
  return structure.map { tensor in .reference(results.next() ?? tensor) }
}
