import GraphIR

/// A graph as the file has it: values by name, each made by an input or by one node.
struct ProgramGraph {
  let inputs: [ProgramArgument]
  let outputs: [ProgramArgument]
  let nodes: [ProgramNode]
  let tensors: [String: ProgramTensor]
  /// What the integers among the values are, by name.
  let integers: [String: ProgramSize]

  init(_ json: JSONValue) throws(ModelFormatError) {
    inputs = try json.required("inputs").map("inputs") { json throws(ModelFormatError) in try ProgramArgument(json) }
    outputs = try json.required("outputs").map("outputs") { json throws(ModelFormatError) in try ProgramArgument(json) }
    nodes = try json.required("nodes").map("nodes") { json throws(ModelFormatError) in try ProgramNode(json) }
    var tensors: [String: ProgramTensor] = [:]
    for (name, json) in try json.required("tensor_values").members("tensor_values") {
      do throws(ModelFormatError) {
        tensors[name] = try ProgramTensor(json)
      } catch {
        throw ModelFormatError(error.code, "of the value '\(name)': \(error.message)")
      }
    }
    self.tensors = tensors
    var integers: [String: ProgramSize] = [:]
    for (name, json) in try json.optional("sym_int_values")?.members("sym_int_values") ?? [] {
      integers[name] = try ProgramSize(json)
    }
    self.integers = integers
  }
}

/// A call as the file has it.
struct ProgramNode {
  /// Such as `torch.ops.aten.add.Tensor` or `_operator.mul`.
  let target: String
  let name: String
  let inputs: [Input]
  let outputs: [ProgramArgument]
  /// Python's stack where the call was made, as text.
  let stackTrace: String?

  struct Input {
    /// The parameter's name; empty where the operator has no schema.
    let name: String
    let argument: ProgramArgument
  }

  init(_ json: JSONValue) throws(ModelFormatError) {
    let target = try json.required("target").string("target")
    let name = try json.optional("name")?.string("name") ?? target
    self.target = target
    self.name = name
    do throws(ModelFormatError) {
      inputs = try json.required("inputs").map("inputs") { json throws(ModelFormatError) in
        let name = try json.required("name").string("name")
        do throws(ModelFormatError) {
          return Input(name: name, argument: try ProgramArgument(json.required("arg")))
        } catch {
          throw error.atArgument(name)
        }
      }
      outputs = try json.required("outputs").map("outputs") { json throws(ModelFormatError) in
        try ProgramArgument(json)
      }
    } catch {
      throw error.atNode(name)
    }
    stackTrace = try? json.optional("metadata")?.optional("stack_trace")?.string("stack_trace")
  }

  /// The line of the program's source that made the call: the innermost of the stack.
  var source: SourceLocation? {
    guard let line = stackTrace?.split(separator: "\n").last(where: { $0.contains("File \"") }) else { return nil }
    let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
    guard parts.count >= 3, let number = parts[2].split(separator: ",").first(where: { $0.hasPrefix(" line ") }),
      let lineNumber = Int(number.dropFirst(6))
    else { return nil }
    return SourceLocation(file: String(parts[1]), line: lineNumber)
  }
}

extension ModelFormatError {
  /// The error with that node as its place, where it has none yet.
  func atNode(_ name: String) -> ModelFormatError {
    var error = self
    error.node = error.node ?? name
    return error
  }

  /// The error with that argument as its place, where it has none yet.
  func atArgument(_ name: String) -> ModelFormatError {
    var error = self
    error.argument = error.argument ?? name
    return error
  }
}
