extension FlowNetwork {
  /// Finds a cheapest set of edges whose removal leaves no path from the source to the sink.
  ///
  /// Exact. Vertices that infinite edges tie to the source or the sink are merged with it first; Dinic's algorithm
  /// (E. A. Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation", 1970)
  /// solves the rest, without recursion. The same network gives the same cut.
  ///
  /// - Throws: `FlowError.uncuttablePath` where infinite edges join the source to the sink, `.invalidTerminals` and
  ///   `.capacityOverflow` for networks that make no sense.
  public func minimumCut(
    from source: Int, to sink: Int, preferring preference: MinimumCut.Preference = .nearestSink
  ) throws(FlowError) -> MinimumCut {
    guard source != sink, (0..<vertexCount).contains(source), (0..<vertexCount).contains(sink) else {
      throw .invalidTerminals(source: source, sink: sink)
    }
    let contraction = try Contraction(self, source: source, sink: sink)
    var dinic = Dinic(self, contraction)
    let flowValue = dinic.run()
    let isOnSourceSide = dinic.sides(preference, contraction)

    var cutEdges: [Int] = []
    var cutValue: Int64 = 0
    for (index, edge) in edges.enumerated() where isOnSourceSide[edge.from] && !isOnSourceSide[edge.to] {
      cutEdges.append(index)
      cutValue += edge.capacity
    }
    return MinimumCut(
      cutValue: cutValue, flowValue: flowValue, cutEdges: cutEdges, isOnSourceSide: isOnSourceSide,
      flow: contraction.restored(dinic.edgeFlow, in: self))
  }
}

/// A network whose vertices are renumbered: all that infinite edges tie to the source are one vertex, so are those tied to the
/// sink. No finite cut separates them, so nothing is lost and most edges of a partitioning problem vanish.
struct Contraction {
  static let source = 0
  static let sink = 1

  /// The new number of each vertex.
  private(set) var merged: [Int32]
  private(set) var vertexCount = 2
  /// More than any flow: what an infinite edge that remains may carry.
  private(set) var unlimited: Int64 = 1
  /// The vertices merged with the source and, apart, with the sink, in order of distance from it; each with the infinite
  /// edge that ties it.
  private var tiedToSource: [(vertex: Int, edge: Int)] = []
  private var tiedToSink: [(vertex: Int, edge: Int)] = []

  init(_ network: FlowNetwork, source: Int, sink: Int) throws(FlowError) {
    merged = [Int32](repeating: -1, count: network.vertexCount)
    for edge in network.edges where edge.capacity != FlowNetwork.infinity {
      let (sum, overflow) = unlimited.addingReportingOverflow(edge.capacity)
      guard !overflow, sum < 1 << 62 else { throw .capacityOverflow }
      unlimited = sum
    }
    let infinite = network.edges.indices.filter { network.edges[$0].capacity == FlowNetwork.infinity }
    tiedToSource = tie(
      source, as: Self.source, infinite, from: { network.edges[$0].from }, to: { network.edges[$0].to })
    if merged[sink] >= 0 { throw .uncuttablePath(edges: path(in: network, to: sink)) }
    tiedToSink = tie(sink, as: Self.sink, infinite, from: { network.edges[$0].to }, to: { network.edges[$0].from })
    for vertex in merged.indices where merged[vertex] < 0 {
      merged[vertex] = Int32(vertexCount)
      vertexCount += 1
    }
  }

  /// Merges with `start` what the edges lead to, breadth first.
  private mutating func tie(
    _ start: Int, as number: Int, _ edges: [Int], from: (Int) -> Int, to: (Int) -> Int
  ) -> [(vertex: Int, edge: Int)] {
    let leaving = Buckets(edges, count: merged.count, key: from)
    var reached: [(vertex: Int, edge: Int)] = []
    merged[start] = Int32(number)
    var vertex = start
    var next = 0
    while true {
      for edge in leaving[vertex] where merged[to(edge)] < 0 {
        merged[to(edge)] = Int32(number)
        reached.append((to(edge), edge))
      }
      guard next < reached.count else { return reached }
      vertex = reached[next].vertex
      next += 1
    }
  }

  private func path(in network: FlowNetwork, to sink: Int) -> [Int] {
    var path: [Int] = []
    var vertex = sink
    for tied in tiedToSource.reversed() where tied.vertex == vertex {
      path.append(tied.edge)
      vertex = network.edges[tied.edge].from
    }
    return path.reversed()
  }

  /// Completes a flow on the edges that remained to one that is conserved in the whole network: what a merged vertex gives
  /// or takes comes along the edges that tie it.
  func restored(_ remaining: [Int64], in network: FlowNetwork) -> [Int64] {
    var flow = remaining
    var excess = [Int64](repeating: 0, count: network.vertexCount)
    for (index, edge) in network.edges.enumerated() {
      excess[edge.from] -= flow[index]
      excess[edge.to] += flow[index]
    }
    for (vertex, edge) in tiedToSource.reversed() {
      flow[edge] -= excess[vertex]
      excess[network.edges[edge].from] += excess[vertex]
    }
    for (vertex, edge) in tiedToSink.reversed() {
      flow[edge] += excess[vertex]
      excess[network.edges[edge].to] += excess[vertex]
    }
    return flow
  }
}

/// Dinic's algorithm on a contracted network. An edge is two arcs with neighbouring numbers, there and back.
private struct Dinic {
  private let arcs: Buckets
  private var head: [Int32] = []
  private var residual: [Int64] = []
  /// The edge of each pair of arcs.
  private var edge: [Int] = []
  private let edgeCount: Int
  /// Steps to the sink along arcs with capacity left; -1 where there is no way.
  private var distance: [Int32]
  private var queue: [Int32] = []

  init(_ network: FlowNetwork, _ contraction: Contraction) {
    edgeCount = network.edges.count
    distance = [Int32](repeating: -1, count: contraction.vertexCount)
    for (index, candidate) in network.edges.enumerated() where candidate.capacity > 0 {
      let (from, to) = (contraction.merged[candidate.from], contraction.merged[candidate.to])
      if from == to || from == Contraction.sink || to == Contraction.source { continue }
      edge.append(index)
      head.append(to)
      head.append(from)
      residual.append(min(candidate.capacity, contraction.unlimited))
      residual.append(0)
    }
    let head = self.head
    arcs = Buckets(Array(head.indices), count: contraction.vertexCount) { Int(head[$0 ^ 1]) }
  }

  /// Sends as much as possible and returns how much that is.
  mutating func run() -> Int64 {
    var total: Int64 = 0
    while measureDistances() { total += block() }
    return total
  }

  /// What flows along each edge of the network; nothing along those that were contracted away.
  var edgeFlow: [Int64] {
    var flow = [Int64](repeating: 0, count: edgeCount)
    for (pair, edge) in edge.enumerated() { flow[edge] = residual[2 * pair + 1] }
    return flow
  }

  /// Per vertex of the network, whether it is on the source's side of the chosen cut.
  mutating func sides(_ preference: MinimumCut.Preference, _ contraction: Contraction) -> [Bool] {
    switch preference {
    case .nearestSink:
      _ = measureDistances()
      return contraction.merged.map { distance[Int($0)] < 0 }
    case .nearestSource:
      var isReached = [Bool](repeating: false, count: contraction.vertexCount)
      isReached[Contraction.source] = true
      var pending = [Contraction.source]
      while let vertex = pending.popLast() {
        for arc in arcs[vertex] where residual[arc] > 0 && !isReached[Int(head[arc])] {
          isReached[Int(head[arc])] = true
          pending.append(Int(head[arc]))
        }
      }
      return contraction.merged.map { isReached[Int($0)] }
    }
  }

  /// Whether there is a way from the source to the sink.
  private mutating func measureDistances() -> Bool {
    for vertex in distance.indices { distance[vertex] = -1 }
    queue.removeAll(keepingCapacity: true)
    queue.append(Int32(Contraction.sink))
    distance[Contraction.sink] = 0
    var next = 0
    while next < queue.count {
      let vertex = Int(queue[next])
      next += 1
      for arc in arcs[vertex] where residual[arc ^ 1] > 0 && distance[Int(head[arc])] < 0 {
        distance[Int(head[arc])] = distance[vertex] + 1
        queue.append(head[arc])
      }
    }
    return distance[Contraction.source] >= 0
  }

  /// Fills shortest ways until each has a full arc, and returns how much was sent.
  private mutating func block() -> Int64 {
    var total: Int64 = 0
    var current = arcs.starts
    var path: [Int] = []
    var vertex = Contraction.source
    while true {
      if vertex == Contraction.sink {
        let amount = path.reduce(Int64.max) { min($0, residual[$1]) }
        total += amount
        var full = path.count
        for step in path.indices.reversed() {
          residual[path[step]] -= amount
          residual[path[step] ^ 1] += amount
          if residual[path[step]] == 0 { full = step }
        }
        vertex = Int(head[path[full] ^ 1])
        path.removeSubrange(full...)
        continue
      }
      if let arc = advance(from: vertex, &current) {
        path.append(arc)
        vertex = Int(head[arc])
      } else {
        guard let arc = path.popLast() else { return total }
        distance[vertex] = -1
        vertex = Int(head[arc ^ 1])
      }
    }
  }

  private func advance(from vertex: Int, _ current: inout [Int]) -> Int? {
    while current[vertex] < arcs.starts[vertex + 1] {
      let arc = arcs.items[current[vertex]]
      if residual[arc] > 0, distance[Int(head[arc])] == distance[vertex] - 1 { return arc }
      current[vertex] += 1
    }
    return nil
  }
}

/// Numbers sorted into buckets, in two arrays.
struct Buckets {
  /// Where each bucket starts in `items`; one more at the end.
  let starts: [Int]
  let items: [Int]

  /// Sorts `values` into `count` buckets, keeping their order in each.
  init(_ values: [Int], count: Int, key: (Int) -> Int) {
    var starts = [Int](repeating: 0, count: count + 1)
    for value in values { starts[key(value) + 1] += 1 }
    for bucket in 0..<count { starts[bucket + 1] += starts[bucket] }
    var next = starts
    var items = [Int](repeating: 0, count: values.count)
    for value in values {
      let bucket = key(value)
      items[next[bucket]] = value
      next[bucket] += 1
    }
    self.starts = starts
    self.items = items
  }

  subscript(bucket: Int) -> ArraySlice<Int> { items[starts[bucket]..<starts[bucket + 1]] }
}
