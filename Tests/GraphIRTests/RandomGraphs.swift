import TensorCore

@testable import GraphIR

/// Random graphs with every kind of node, argument and metadata.
struct RandomGraphs {
  private var random: Generator

  init(seed: UInt64) { random = Generator(state: seed) }

  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state ^ (state >> 31)) &* 0x9E37_79B9_7F4A_7C15
    }
  }

  private static let strings = [
    "", "plain", "two words", "quote\" and \\ backslash", "line\nbreak\ttab\r", "ünïcödé 🙂", "\u{0}\u{7}\u{9f}", "a:3",
  ]
  private static let doubles: [Double] = [
    0, -0.0, 1, 0.1, 1e-05, 1e300, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .infinity, -.infinity, .nan, -.nan,
    Double(bitPattern: 0x7FF8_0000_0000_0123), .pi,
  ]

  mutating func graph(nodes: Int) -> Graph {
    var graph = Graph()
    for index in 0..<Int.random(in: 0...4, using: &random) {
      graph.placeholder(chance(2) ? "primals_\(index)" : "x", metadata: metadata())
    }
    for _ in 0..<nodes {
      switch Int.random(in: 0..<8, using: &random) {
      case 0: graph.getAttribute(string(), metadata: metadata())
      case 1: if let node = node(of: graph) { graph.getItem(node, 0, metadata: metadata()) }
      default:
        let target = TestOperators.all.randomElement(using: &random) ?? TestOperators.add
        let arguments = (0..<Int.random(in: 0...3, using: &random)).map { _ in argument(of: graph, depth: 0) }
        let keywords =
          chance(4) ? [KeywordArgument("alpha", argument(of: graph, depth: 1)), .init(string(), .none)] : []
        graph.call(target, arguments, keywords, metadata: metadata())
      }
    }
    // Edits leave gaps and reorder links: neither may show in the text.
    for id in graph.nodes where chance(10) && !graph.hasUsers(id) { try? graph.erase(id) }
    if chance(8), let node = node(of: graph) { graph.rename(node, to: "output") }
    if !chance(8) {
      let descriptors = chance(2) ? (0..<2).map { _ in descriptor(depth: 0) } : []
      let output = graph.output(argument(of: graph, depth: 0), descriptors: descriptors)
      graph[metadata: output] = metadata()
    }
    return graph
  }

  private mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
  private mutating func string() -> String { Self.strings.randomElement(using: &random) ?? "" }
  private mutating func integer() -> Int {
    [0, 1, -1, 7, .max, SymInt.concreteRange.lowerBound].randomElement(using: &random) ?? 0
  }
  private mutating func node(of graph: Graph) -> NodeID? { graph.nodes.randomElement(using: &random) }
  private mutating func device() -> Device {
    [.cpu, Device(.cuda), Device(.cuda, index: 3), Device(.cpu, index: 2)].randomElement(using: &random) ?? .cpu
  }

  private mutating func argument(of graph: Graph, depth: Int) -> GraphArgument {
    if depth < 2, let node = node(of: graph), !chance(3) { return .reference(node) }
    return constant(depth: depth, reference: { $0.node(of: graph).map { .reference($0) } ?? .none })
  }

  private mutating func constant<R>(
    depth: Int, reference: (inout RandomGraphs) -> Argument<R>
  ) -> Argument<R> {
    switch Int.random(in: 0..<(depth < 3 ? 12 : 8), using: &random) {
    case 0: return .none
    case 1: return .bool(chance(2))
    case 2: return .int(SymInt(integer()))
    case 3: return .double(Self.doubles.randomElement(using: &random) ?? 0)
    case 4: return .string(string())
    case 5: return .dtype(DType.allCases.randomElement(using: &random) ?? .bool)
    case 6: return .device(device())
    case 7: return .memoryFormat(MemoryFormat.allCases.randomElement(using: &random) ?? .preserve)
    case 8: return reference(&self)
    case 9:
      return .dictionary(
        (0..<2).map { _ in .init(key: string(), value: constant(depth: depth + 1, reference: reference)) })
    case 10:
      return .list(
        (0..<Int.random(in: 0..<4, using: &random)).map { _ in constant(depth: depth + 1, reference: reference) })
    default:
      return .tuple(
        (0..<Int.random(in: 0..<4, using: &random)).map { _ in constant(depth: depth + 1, reference: reference) })
    }
  }

  private mutating func tensor() -> TensorMeta {
    let sizes = (0..<Int.random(in: 0..<4, using: &random)).map { _ in SymInt(Int.random(in: 0..<5, using: &random)) }
    var layout = Layout(contiguous: sizes)
    if chance(3) { layout.strides = sizes.map { _ in SymInt(Int.random(in: 0..<9, using: &random)) } }
    if chance(3) { layout.offset = 5 }
    return TensorMeta(
      dtype: DType.allCases.randomElement(using: &random) ?? .bool, layout: layout, device: chance(3) ? device() : .cpu,
      requiresGrad: chance(3), storageID: chance(3) ? integer() : nil)
  }

  private mutating func metadata() -> NodeMetadata {
    NodeMetadata(
      value: chance(5) ? nil : chance(3) ? constant(depth: 0) { .reference($0.tensor()) } : .reference(tensor()),
      source: chance(2) ? SourceLocation(file: chance(2) ? "Sources/Model.swift" : string(), line: integer()) : nil,
      descriptor: chance(3) ? descriptor(depth: 0) : nil, gradMode: chance(3) ? chance(2) : nil,
      recompute: chance(4) ? RecomputeTag.allCases.randomElement(using: &random) : nil,
      forwardNode: chance(4) ? string() : nil, isBackward: chance(3),
      annotations: chance(4) ? Dictionary([(string(), string()), ("key", string())]) { $1 } : [:])
  }

  private mutating func descriptor(depth: Int) -> Descriptor {
    switch Int.random(in: 0..<(depth < 3 ? 12 : 8), using: &random) {
    case 0: .input(integer())
    case 1: .closedOver(integer())
    case 2: .token(0)
    case 3: .randomKey
    case 4: .randomCounter
    case 5: .output(integer())
    case 6: .intermediateBase(1)
    case 7: .saved(2)
    case 8: .mutated(descriptor(depth: depth + 1))
    case 9: .gradient(of: descriptor(depth: depth + 1))
    case 10: .syntheticBase(of: (0..<Int.random(in: 0..<3, using: &random)).map { _ in descriptor(depth: depth + 1) })
    default: .tangent(of: descriptor(depth: depth + 1))
    }
  }
}
