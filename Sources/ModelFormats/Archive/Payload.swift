import GraphIR

/// Where a weight or constant lies: a member that holds a whole storage, and the tensor's place in it.
///
/// Several may lie in one member, and share its memory then.
struct Payload {
  let member: String
  let isParameter: Bool
  let meta: ProgramTensor
  /// Whether the member is a pickle in place of plain elements, as those of tensor subclasses are.
  let isPickled: Bool

  /// Reads the table of a folder: `{"config": {name: …}}`.
  static func all(_ json: JSONValue, folder: String) throws(ModelFormatError) -> [(name: String, payload: Payload)] {
    var payloads: [(name: String, payload: Payload)] = []
    for (name, json) in try json.required("config").members("config") {
      do throws(ModelFormatError) {
        payloads.append((name, try Payload(json, folder: folder)))
      } catch {
        throw ModelFormatError(error.code, "'\(name)': \(error.message)")
      }
    }
    return payloads
  }

  private init(_ json: JSONValue, folder: String) throws(ModelFormatError) {
    member = folder + (try json.required("path_name").string("path_name"))
    isParameter = try json.required("is_param").bool("is_param")
    isPickled = try json["use_pickle"]?.bool("use_pickle") ?? false
    meta = try ProgramTensor(json.required("tensor_meta"))
  }
}
