import TensorCore

extension TextScanner {
  /// Reads an argument; `reference` takes one reference where no literal stands.
  mutating func argument<Reference>(
    reference: (inout TextScanner) throws(GraphError) -> Reference
  ) throws(GraphError) -> Argument<Reference> {
    skipSpace()
    switch current {
    case UInt8(ascii: "["):
      position += 1
      return .list(try elements(until: "]", reference: reference).values)
    case UInt8(ascii: "("):
      position += 1
      let (values, endsInComma) = try elements(until: ")", reference: reference)
      // As in Python, parentheses around one value without a comma only group.
      return values.count == 1 && !endsInComma ? values[0] : .tuple(values)
    case UInt8(ascii: "{"):
      position += 1
      return .dictionary(try entries(reference: reference))
    case UInt8(ascii: "."):
      return try namedConstant()
    case UInt8(ascii: "\""), UInt8(ascii: "'"):
      if let string = try takeString() { return .string(string) }
    case UInt8(ascii: "n"):
      if takeWord("none") { return .none }
    case UInt8(ascii: "t"):
      if takeWord("true") { return .bool(true) }
    case UInt8(ascii: "f"):
      if takeWord("false") { return .bool(false) }
    default: break
    }
    let start = position
    switch try takeNumber() {
    case .int(let value): return .int(try symInt(value, at: start))
    case .double(let value): return .double(value)
    case nil: return .reference(try reference(&self))
    }
  }

  private mutating func elements<Reference>(
    until close: StaticString, reference: (inout TextScanner) throws(GraphError) -> Reference
  ) throws(GraphError) -> (values: [Argument<Reference>], endsInComma: Bool) {
    var values: [Argument<Reference>] = []
    let endsInComma = try list(until: close) { scanner throws(GraphError) in
      values.append(try scanner.argument(reference: reference))
    }
    return (values, endsInComma)
  }

  private mutating func entries<Reference>(
    reference: (inout TextScanner) throws(GraphError) -> Reference
  ) throws(GraphError) -> [Argument<Reference>.DictionaryEntry] {
    var entries: [Argument<Reference>.DictionaryEntry] = []
    try list(until: "}") { scanner throws(GraphError) in
      guard let key = try scanner.takeString() else { throw scanner.failure(expected: "a quoted key") }
      try scanner.expect(":")
      entries.append(.init(key: key, value: try scanner.argument(reference: reference)))
    }
    return entries
  }

  /// `.f32`, `.channels_last`, `.cuda:0`.
  private mutating func namedConstant<Reference>() throws(GraphError) -> Argument<Reference> {
    let start = position
    position += 1
    if let device = try takeDevice() { return .device(device) }
    let word = Self.isLetter(current) ? try identifier("a constant") : ""
    if let dtype = DType(abbreviation: word) { return .dtype(dtype) }
    if let format = MemoryFormat(rawValue: word) { return .memoryFormat(format) }
    throw failure("'.\(word)' is no dtype such as .f32, memory format such as .contiguous, or device", at: start)
  }

  /// `cpu`, `cuda:1`.
  private mutating func takeDevice() throws(GraphError) -> Device? {
    let kind: Device.Kind
    if takeWord("cpu") {
      kind = .cpu
    } else if takeWord("cuda") {
      kind = .cuda
    } else {
      return nil
    }
    let first = byte(after: 1)
    guard current == UInt8(ascii: ":"), Self.isDigit(first) || first == UInt8(ascii: "-") else { return Device(kind) }
    position += 1
    return Device(kind, index: try integer("a device's index"))
  }

  private func symInt(_ value: Int, at start: Int) throws(GraphError) -> SymInt {
    guard SymInt.concreteRange.contains(value) else { throw failure("the integer \(value) is out of range", at: start) }
    return SymInt(value)
  }
}

// MARK: - What a node gives

extension TextScanner {
  /// A tensor's metadata, or a nesting of them and of constants.
  mutating func metaValue() throws(GraphError) -> MetaValue {
    try argument { scanner throws(GraphError) in try scanner.tensorMeta() }
  }

  mutating func tensorMeta() throws(GraphError) -> TensorMeta {
    skipSpace()
    let start = position
    let word = try identifier("a type such as f32[8, 4]")
    guard let dtype = DType(abbreviation: word) else {
      throw failure("'\(word)' is not a dtype; they are \(DType.allCases.map(\.abbreviation))", at: start)
    }
    let sizes = try extents("a size")
    var strides: [SymInt]?
    var offset = SymInt(0)
    if takeWord("strides") { strides = try extents("a stride") }
    if takeWord("offset") {
      let place = position
      offset = try symInt(integer("an offset"), at: place)
    }
    guard let layout = Layout(checkedSizes: sizes, strides: strides, offset: offset, itemBytes: dtype.byteCount) else {
      throw failure("no memory could hold a tensor of these sizes, strides and offset", at: start)
    }
    var tensor = TensorMeta(dtype: dtype, layout: layout)
    if takeWord("on") {
      skipSpace()
      guard let device = try takeDevice() else { throw failure(expected: "a device such as cuda:0") }
      tensor.device = device
    }
    tensor.requiresGrad = takeWord("requires_grad")
    if take("#") { tensor.storageID = try integer("a storage's number") }
    return tensor
  }

  private mutating func extents(_ role: String) throws(GraphError) -> [SymInt] {
    var extents: [SymInt] = []
    try expect("[")
    try list(until: "]") { scanner throws(GraphError) in
      scanner.skipSpace()
      let start = scanner.position
      extents.append(try scanner.symInt(scanner.integer(role), at: start))
    }
    return extents
  }
}
