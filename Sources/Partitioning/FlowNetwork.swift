/// A directed graph with integer capacities, in which a cheapest cut between two vertices is sought.
public struct FlowNetwork: Sendable {
  /// The capacity of an edge that no cut may contain.
  public static let infinity = Int64.max

  public struct Edge: Hashable, Sendable {
    public let from: Int
    public let to: Int
    /// What the edge costs in a cut: 0 or more, or `infinity`.
    public let capacity: Int64
  }

  public private(set) var vertexCount: Int
  public private(set) var edges: [Edge] = []

  public init(vertexCount: Int = 0) { self.vertexCount = vertexCount }

  /// Adds a vertex.
  ///
  /// - Returns: Its index; vertices are numbered from 0.
  public mutating func addVertex() -> Int {
    vertexCount += 1
    return vertexCount - 1
  }

  /// Adds an edge; several may join the same vertices.
  ///
  /// - Returns: Its index; edges are numbered from 0.
  /// - Precondition: Both vertices are in the network and the capacity is not negative.
  @discardableResult
  public mutating func addEdge(from: Int, to: Int, capacity: Int64) -> Int {
    precondition((0..<vertexCount).contains(from) && (0..<vertexCount).contains(to), "an edge joins two vertices")
    precondition(capacity >= 0, "a capacity is not negative")
    edges.append(Edge(from: from, to: to, capacity: capacity))
    return edges.count - 1
  }
}

/// Why a network has no cheapest cut, or why what claims to be one is not.
public enum FlowError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The source and the sink are one vertex, or not both in the network.
  case invalidTerminals(source: Int, sink: Int)
  /// These edges lead from the source to the sink and none of them can be cut.
  case uncuttablePath(edges: [Int])
  /// The finite capacities sum to 2^62 or more.
  case capacityOverflow
  /// A flow and a cut do not prove each other optimal.
  case invalidCertificate(String)

  public var description: String {
    switch self {
    case .invalidTerminals(let source, let sink):
      "the source \(source) and the sink \(sink) must be two vertices of the network"
    case .uncuttablePath(let edges): "a path of \(edges.count) edges of infinite capacity joins the source to the sink"
    case .capacityOverflow: "the capacities sum to 2^62 or more"
    case .invalidCertificate(let message): message
    }
  }
}

/// A cheapest cut together with the flow that proves it: no cut is cheaper than a flow is large.
public struct MinimumCut: Sendable {
  /// Among cuts of equal cost, which one to take.
  public enum Preference: Sendable {
    /// The one with the fewest vertices on the source's side.
    case nearestSource
    /// The one with the fewest vertices on the sink's side.
    case nearestSink
  }

  /// The sum of the capacities of the cut edges.
  public let cutValue: Int64
  /// What flows from the source to the sink.
  public let flowValue: Int64
  /// The edges from the source's side to the sink's, ascending.
  public let cutEdges: [Int]
  /// Per vertex.
  public let isOnSourceSide: [Bool]
  /// Per edge.
  public let flow: [Int64]

  /// Checks, without trusting the solver, that this is a cheapest cut of the network.
  ///
  /// That holds when the flow respects every capacity, is conserved at every vertex but the source and the sink, the cut edges
  /// are those that leave the source's side, and the cut costs as much as flows.
  ///
  /// - Throws: `FlowError.invalidCertificate` with the first thing that does not hold.
  public func verify(in network: FlowNetwork, from source: Int, to sink: Int) throws(FlowError) {
    guard flow.count == network.edges.count, isOnSourceSide.count == network.vertexCount else {
      throw .invalidCertificate("the certificate is of another network")
    }
    guard isOnSourceSide[source], !isOnSourceSide[sink] else {
      throw .invalidCertificate("the cut does not separate the source from the sink")
    }
    var excess = [Int64](repeating: 0, count: network.vertexCount)
    var crossing: [Int] = []
    var cost: Int64 = 0
    for (index, edge) in network.edges.enumerated() {
      guard (0...edge.capacity).contains(flow[index]) else {
        throw .invalidCertificate("edge \(index) of capacity \(edge.capacity) carries \(flow[index])")
      }
      excess[edge.from] -= flow[index]
      excess[edge.to] += flow[index]
      if isOnSourceSide[edge.from], !isOnSourceSide[edge.to] {
        guard edge.capacity != FlowNetwork.infinity else {
          throw .invalidCertificate("edge \(index) is cut though its capacity is infinite")
        }
        crossing.append(index)
        cost += edge.capacity
      }
    }
    for vertex in excess.indices where vertex != source && vertex != sink && excess[vertex] != 0 {
      throw .invalidCertificate("vertex \(vertex) keeps \(excess[vertex]) of the flow")
    }
    guard crossing == cutEdges else { throw .invalidCertificate("the cut edges are not those between the sides") }
    guard cost == cutValue, cutValue == flowValue, excess[sink] == flowValue else {
      throw .invalidCertificate("the cut costs \(cost), the sink receives \(excess[sink]), the flow is \(flowValue)")
    }
  }
}
