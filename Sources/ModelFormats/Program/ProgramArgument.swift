import GraphIR

/// An argument or result of a program's node.
indirect enum ProgramArgument {
  case none
  case tensor(String)
  /// A size, number or truth that a node or an input gives, by name.
  case symbol(String)
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case dtype(ProgramTensor.ElementType)
  case memoryFormat(Int)
  case layout(Int)
  case device(String)
  case list([ProgramArgument])
  case dictionary([(key: String, value: ProgramArgument)])
  case graph(name: String, ProgramGraph)
  /// What this package cannot hold, by its tag.
  case unsupported(String)

  /// Reads a union such as `{"as_int": 3}`.
  init(_ json: JSONValue) throws(ModelFormatError) {
    let (tag, value) = try json.union("argument")
    self = try Self.read(tag, value)
  }

  private typealias Reader = (JSONValue) throws(ModelFormatError) -> ProgramArgument

  private static func read(_ tag: String, _ value: JSONValue) throws(ModelFormatError) -> ProgramArgument {
    switch tag {
    case "as_none": return .none
    case "as_tensor": return .tensor(try value.required("name").string("name"))
    case "as_tensors": return try list(value) { json throws(ModelFormatError) in try read("as_tensor", json) }
    case "as_nested_tensors": return try list(value) { json throws(ModelFormatError) in try read("as_tensors", json) }
    case "as_optional_tensor": return try ProgramArgument(value)
    case "as_optional_tensors": return try list(value) { json throws(ModelFormatError) in try ProgramArgument(json) }
    case "as_int": return .int(try value.int(tag))
    case "as_ints": return try list(value) { json throws(ModelFormatError) in .int(try json.int(tag)) }
    case "as_int_lists": return try list(value) { json throws(ModelFormatError) in try read("as_ints", json) }
    case "as_float": return .double(try value.double(tag))
    case "as_floats": return try list(value) { json throws(ModelFormatError) in .double(try json.double(tag)) }
    case "as_float_lists": return try list(value) { json throws(ModelFormatError) in try read("as_floats", json) }
    case "as_bool": return .bool(try value.bool(tag))
    case "as_bools": return try list(value) { json throws(ModelFormatError) in .bool(try json.bool(tag)) }
    case "as_string": return .string(try value.string(tag))
    case "as_strings": return try list(value) { json throws(ModelFormatError) in .string(try json.string(tag)) }
    case "as_scalar_type": return .dtype(try ProgramTensor.ElementType(number: value.int(tag)))
    case "as_memory_format": return .memoryFormat(try value.int(tag))
    case "as_layout": return .layout(try value.int(tag))
    case "as_device": return .device(try value.required("type").string("type"))
    case "as_sym_int", "as_sym_float", "as_sym_bool": return try symbolic(value)
    case "as_sym_ints", "as_sym_floats", "as_sym_bools": return try list(value, symbolic)
    case "as_graph":
      return .graph(name: try value.required("name").string("name"), try ProgramGraph(value.required("graph")))
    case "as_string_to_argument":
      var entries: [(key: String, value: ProgramArgument)] = []
      for (key, value) in try value.members(tag) { entries.append((key, try ProgramArgument(value))) }
      return .dictionary(entries)
    default: return .unsupported(tag)
    }
  }

  /// `{"as_name": …}`, or a number that is known.
  private static func symbolic(_ json: JSONValue) throws(ModelFormatError) -> ProgramArgument {
    let (tag, value) = try json.union("symbolic argument")
    return tag == "as_name" ? .symbol(try value.string(tag)) : try read(tag, value)
  }

  private static func list(_ json: JSONValue, _ read: Reader) throws(ModelFormatError) -> ProgramArgument {
    .list(try json.map("list", read))
  }
}
