import AOTAutograd
import XCTest

/// Arguments that share memory which the function writes to.
final class SharedMemoryTests: XCTestCase {
  /// Two overlapping views of a tensor that has a history.
  private func overlapping() throws -> CallArguments {
    let x = try wave([6], requiresGrad: true)
    let y = try x * 2
    return CallArguments([try y[0..<4], try y[2..<6]], behind: [x])
  }

  func testViewsOfOneTensor() throws {
    try assertCompiledAgrees(overlapping) { x in
      try x[0].mul_(3)
      return [try x[1] * x[0]]
    }
    try assertCompiledAgrees({
      let y = try wave([6])
      return [try y[0..<4], try y[2..<6]]
    }) { x in
      try x[0].mul_(3)
      try x[1].add_(x[0].sin())
      return [try x[0] + x[1]]
    }
  }

  func testTheBaseItselfIsAnArgument() throws {
    for writesToBase in [false, true] {
      try assertCompiledAgrees({
        let x = try wave([2, 3], requiresGrad: true)
        let y = try x * 2
        return CallArguments([y, try y.t()[1]], behind: [x])
      }) { x in
        try x[writesToBase ? 0 : 1].mul_(3)
        return [try x[0].sin(), try x[1] * 2]
      }
    }
  }

  func testADetachedAlias() throws {
    try assertCompiledAgrees({
      let x = try wave([4], requiresGrad: true)
      let y = try x * 2
      return CallArguments([y, try y.detach()], behind: [x])
    }) { x in
      try x[0].mul_(3)
      return [try x[0] * x[1]]
    }
    try assertCompiledAgrees({
      let x = try wave([4])
      return [x, try x.detach()]
    }) { x in
      try x[1].add_(1)
      return [try x[0] * x[1]]
    }
  }

  func testPartsThatDoNotMeetStayApart() throws {
    try assertCompiledAgrees({
      let y = try wave([6])
      return [try y[0..<3], try y[3..<6]]
    }) { x in
      try x[0].mul_(3)
      return [try x[0] + x[1]]
    }
    let y = try wave([6])
    let function = aotFunction { (a: Tensor, b: Tensor) in
      try a.mul_(3)
      return try a + b
    }
    XCTAssertFalse(try function.stages(y[0..<3], y[3..<6]).wrappers.contains("synthetic base"))
    XCTAssertTrue(try function.stages(y[0..<3], y[2..<5]).wrappers.contains("synthetic base"))
  }

  func testAnArgumentThatIsReturnedKeepsItsIdentity() throws {
    try assertCompiledAgrees(overlapping) { x in
      try x[1].mul_(2)
      return [x[1], try x[0] * 2, x[0]]
    }
  }

  func testALayoutChangeOfOneOfThem() throws {
    try assertCompiledAgrees({
      let y = try wave([3, 4])
      return [try y[0..<2], try y[1..<3]]
    }) { x in
      try x[0].t_()
      try x[1].add_(1)
      return [try x[0] * 2]
    }
  }

  func testAnotherPatternOfSharingCompilesAnew() throws {
    let body = { (a: Tensor, b: Tensor) in
      try a.mul_(3)
      return try a + b
    }
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      let starts = [(0, 0), (0, 1), (1, 0), (0, 2), (0, 1)]
      for (a, b) in starts {
        let (mine, eager) = (try wave([4]), try wave([4]))
        let (got, want) = (try function(mine[a..<a + 2], mine[b..<b + 2]), try body(eager[a..<a + 2], eager[b..<b + 2]))
        XCTAssertEqual(CallRecord.values(got), CallRecord.values(want), "\(name), \(a) \(b)")
        XCTAssertEqual(CallRecord.values(mine), CallRecord.values(eager), "\(name), \(a) \(b)")
      }
      XCTAssertEqual(function.entryCount, 4, name)
      _ = try function(wave([2]), wave([2]))
      XCTAssertEqual(function.entryCount, 5, name)
    }
  }
}
