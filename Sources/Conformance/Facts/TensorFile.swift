import Foundation

/// The tensors' bytes in a file of the safetensors format, by name.
///
/// Eight bytes give the size of a header, JSON; the header gives the place of each tensor among the bytes that follow.
/// See https://github.com/huggingface/safetensors.
struct TensorFile {
  private let data: Data
  private let entries: [String: Entry]

  private struct Entry: Decodable {
    let data_offsets: [Int]
  }

  init(_ url: URL) throws {
    let file = try Data(contentsOf: url, options: .mappedIfSafe)
    let size = file.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    guard file.count >= 8, size <= file.count - 8 else {
      throw FactsError("\(url.lastPathComponent) is no file of tensors: its header does not fit")
    }
    let start = 8 + Int(size)
    self.entries = try JSONDecoder().decode([String: Entry].self, from: file[8..<start])
    self.data = file[start...]
  }

  subscript(name: String) -> Data? {
    guard let place = entries[name]?.data_offsets, place.count == 2, place[0] >= 0, place[0] <= place[1],
      place[1] <= data.count
    else { return nil }
    return data[data.startIndex + place[0]..<data.startIndex + place[1]]
  }
}
