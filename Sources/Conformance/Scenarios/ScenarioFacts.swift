import Foundation

/// A folder of scenarios recorded from PyTorch: `index.json`, and one file for each.
public struct ScenarioFacts {
  /// A scenario, and its text.
  struct Entry {
    let scenario: Scenario
    private let data: Data

    init(_ data: Data) throws {
      self.data = data
      scenario = try JSONDecoder().decode(Scenario.self, from: data)
    }

    /// The scenario with double precision in the place of single precision.
    func widened() throws -> Scenario {
      let text = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\"float32\"", with: "\"float64\"")
      return try JSONDecoder().decode(Scenario.self, from: Data(text.utf8))
    }
  }

  let entries: [Entry]

  /// Reads the scenarios whose names contain a text.
  ///
  /// - Throws: `FactsError` naming the file that cannot be read.
  public init(folder: URL, filter: String? = nil) throws {
    struct Index: Decodable {
      struct Item: Decodable {
        let name: String
        let file: String
      }
      let scenarios: [Item]
    }
    func read<Value>(_ file: String, _ decode: (Data) throws -> Value) throws -> Value {
      do {
        return try decode(Data(contentsOf: folder.appendingPathComponent(file)))
      } catch {
        throw FactsError("\(folder.path) holds no recorded scenarios that can be read: \(file): \(error)")
      }
    }
    let index = try read("index.json") { try JSONDecoder().decode(Index.self, from: $0) }
    entries = try index.scenarios.filter { item in filter.map(item.name.contains) ?? true }.map {
      try read($0.file, Entry.init)
    }
  }
}
