import GraphIR

/// What an einsum equation such as "bij,bjk->bik" says: a letter for every dimension of every operand, and those of the
/// result, which are summed over where it has none.
struct EinsumEquation {
  /// A letter, or the dimensions that an ellipsis stands for.
  enum Subscript: Hashable {
    case letter(Character)
    case ellipsis
  }

  let operands: [[Subscript]]
  /// The result's subscripts: as written or, without an arrow, what the ellipses stand for and the letters that occur once,
  /// in alphabetical order.
  let output: [Subscript]

  init(parsing text: String, _ name: OperatorName) throws {
    var sides = [[[Subscript]]]()
    var current = [[Subscript]()]
    var rest = Substring(text)
    func refuse(_ what: String) -> OperatorError {
      OperatorError(.argument, name, "\(what) in the equation '\(text)'")
    }
    while let character = rest.first {
      if rest.hasPrefix("...") {
        guard !current[current.count - 1].contains(.ellipsis) else { throw refuse("an operand has several ellipses") }
        current[current.count - 1].append(.ellipsis)
        rest.removeFirst(3)
      } else if rest.hasPrefix("->"), sides.isEmpty {
        sides.append(current)
        current = [[]]
        rest.removeFirst(2)
      } else if character == ",", sides.isEmpty {
        current.append([])
        rest.removeFirst()
      } else if character == " " {
        rest.removeFirst()
      } else if character.isASCII, character.isLetter {
        current[current.count - 1].append(.letter(character))
        rest.removeFirst()
      } else {
        throw refuse("'\(character)' has no meaning at that place")
      }
    }
    sides.append(current)
    operands = sides[0]
    let occurrences = operands.joined().reduce(into: [Subscript: Int]()) { $0[$1, default: 0] += 1 }
    if sides.count > 1 {
      output = sides[1][0]
      for case .letter(let letter) in output where occurrences[.letter(letter)] == nil {
        throw refuse("the result's '\(letter)' is in no operand")
      }
      guard Set(output).count == output.count else { throw refuse("the result has a subscript twice") }
    } else {
      output =
        (occurrences[.ellipsis] == nil ? [] : [.ellipsis])
        + Self.sorted(occurrences.filter { $0.value == 1 }.map(\.key))
    }
  }

  /// The letters that the result does not have, in alphabetical order.
  var summed: [Subscript] { Self.sorted(Array(Set(operands.joined()).subtracting(output))) }

  private static func sorted(_ subscripts: [Subscript]) -> [Subscript] {
    let letters = subscripts.compactMap { if case .letter(let letter) = $0 { letter } else { nil } }
    return letters.sorted().map { .letter($0) }
  }
}
