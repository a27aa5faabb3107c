// Writes DigitsData.swift and GenesisData.swift from the files they were made of.
//
//     swift Sources/aot/Data/embed.swift digits.csv genesis.txt
//
// It is no part of the target: run it again only to change the data.
import Foundation

let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
let notice = "// Written by embed.swift.\n// swift-format-ignore-file\n\n"

func checksum(_ bytes: some Sequence<UInt8>) -> String {
  let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  return "0x" + String(hash, radix: 16, uppercase: true)
}

func write(_ declarations: String, to name: String) throws {
  try (notice + declarations).write(to: directory.appending(path: name), atomically: true, encoding: .utf8)
}

/// One line per image: its label, then a letter per pixel, "a" for 0 to "q" for 16.
func embedDigits(_ csv: String) throws {
  let lines = csv.split(whereSeparator: \.isNewline).map { row in
    let values = row.split(separator: ",").map { Int($0)! }
    precondition(values.count == 65 && values[..<64].allSatisfy((0...16).contains) && (0...9).contains(values[64]))
    return "\(values[64])" + String(values[..<64].map { Character(UnicodeScalar(UInt8(97 + $0))) })
  }
  let text = lines.joined(separator: "\n")
  try write(
    """
    extension Digits {
      static let embeddedCount = \(lines.count)
      static let embeddedChecksum: UInt64 = \(checksum(text.utf8))

      /// One line per image: its label, then a letter per pixel, "a" for 0 to "q" for 16.
      static let embedded: StaticString = \"""
    \(text)
    \"""
    }

    """, to: "DigitsData.swift")
}

func embedText(_ text: String) throws {
  precondition(!text.contains("\"\"\"#") && text.utf8.allSatisfy { $0 == 10 || (32..<127).contains($0) })
  try write(
    """
    extension TextData {
      static let genesisByteCount = \(text.utf8.count)
      static let genesisChecksum: UInt64 = \(checksum(text.utf8))

      static let genesis: StaticString = #\"""
    \(text)
    \"""#
    }

    """, to: "GenesisData.swift")
}

let files = CommandLine.arguments.dropFirst()
guard files.count == 2, let digits = files.first, let text = files.last else {
  FileHandle.standardError.write(Data("usage: swift embed.swift DIGITS.csv TEXT\n".utf8))
  exit(2)
}
try embedDigits(String(contentsOfFile: digits, encoding: .utf8))
try embedText(String(contentsOfFile: text, encoding: .utf8))
