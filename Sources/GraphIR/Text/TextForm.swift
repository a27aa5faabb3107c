/// How values are spelled in text forms.
enum TextForm {
  /// A string between quotes, in one line of printable characters.
  static func quoted(_ string: String) -> String {
    var result = "\""
    result.reserveCapacity(string.utf8.count + 2)
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The shortest decimal that reads back as the same double; a NaN other than the usual one shows its bits.
  static func exact(_ value: Double) -> String {
    guard value.isNaN, value.bitPattern != Double.nan.bitPattern else { return value.description }
    return "nan(0x\(String(value.bitPattern, radix: 16)))"
  }
}
