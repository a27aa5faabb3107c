import Operators

extension GraphLowering {
  /// Positions of the external buffers that are the memory of some arguments, those left out that are written to or returned.
  ///
  /// Results come after them, and so find the memory that they take.
  func donatedExternals(_ arguments: [Int]) -> [Int] {
    let (arguments, kept) = (Set(arguments), Set(writtenExternals + outputs.flatMap(\.externals)))
    let end = resultExternals.first ?? externals.endIndex
    return externals.indices[..<end].filter { position in
      guard case .placeholder(let argument, _) = externals[position] else { return false }
      return arguments.contains(argument) && !kept.contains(position)
    }
  }

  /// Positions of the external buffers that are new memory.
  var resultExternals: [Int] {
    externals.indices.filter { if case .result = externals[$0] { true } else { false } }
  }
}

extension GraphLowering.Output {
  /// Positions of the external buffers that it is a view of.
  fileprivate var externals: [Int] {
    switch self {
    case .external(let position, _, _): [position]
    case .constant: []
    case .list(let elements): elements.flatMap(\.externals)
    }
  }
}
