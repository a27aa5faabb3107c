import Foundation

/// A folder of scenarios recorded from PyTorch: `index.json`, and one file for each.
public struct ScenarioFacts {
  let scenarios: [Scenario]

  /// Reads the scenarios whose names contain a text.
  ///
  /// - Throws: `FactsError` naming the file that cannot be read.
  public init(folder: URL, filter: String? = nil) throws {
    struct Entry: Decodable {
      let name: String
      let file: String
    }
    struct Index: Decodable {
      let scenarios: [Entry]
    }
    let decoder = JSONDecoder()
    func read<Value: Decodable>(_ type: Value.Type, _ file: String) throws -> Value {
      do {
        return try decoder.decode(type, from: Data(contentsOf: folder.appendingPathComponent(file)))
      } catch {
        throw FactsError("\(folder.path) holds no recorded scenarios that can be read: \(file): \(error)")
      }
    }
    let entries = try (try? read(Index.self, "index.json").scenarios) ?? read([Entry].self, "index.json")
    scenarios = try entries.filter { entry in filter.map(entry.name.contains) ?? true }.map {
      try read(Scenario.self, $0.file)
    }
  }
}
