import TensorCore

@testable import GraphIR

/// A small operator library: enough meaning to run graphs, on float32 alone.
final class TestOperator: Operator {
  let schema: OperatorSchema
  let traits: OperatorTraits
  private let body: @Sendable ([Value]) throws -> Value

  init(_ schema: String, _ traits: OperatorTraits = [], _ body: @escaping @Sendable ([Value]) throws -> Value) {
    self.schema = try! OperatorSchema(parsing: schema)
    self.traits = traits
    self.body = body
  }

  func evaluate(_ arguments: [Value]) throws -> Value { try body(arguments) }
}

struct TestTable: OperatorTable {
  static let shared = TestTable(TestOperators.all)

  private let byName: [OperatorName: any Operator]

  init(_ operators: [any Operator]) {
    byName = Dictionary(uniqueKeysWithValues: operators.map { ($0.name, $0) })
  }

  func lookup(_ name: OperatorName) -> (any Operator)? { byName[name] }
}

enum TestOperators {
  static let all: [any Operator] = [add, mul, scale, relu, sum, split, view, addInPlace, rand, print, ones, cat]

  static let add = TestOperator("add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", .pointwise) {
    let alpha = Float($0[2].scalar?.doubleValue ?? 1)
    return try elementwise($0[0], $0[1]) { $0 + alpha * $1 }
  }
  static let mul = TestOperator("mul.Tensor(Tensor self, Tensor other) -> Tensor", .pointwise) {
    try elementwise($0[0], $0[1], *)
  }
  static let scale = TestOperator("scale(Tensor self, float by=2.) -> Tensor", .pointwise) {
    let factor = Float($0[1].scalar?.doubleValue ?? 0)
    return try elementwise($0[0], $0[0]) { x, _ in x * factor }
  }
  static let relu = TestOperator("relu(Tensor self) -> Tensor", .pointwise) {
    try elementwise($0[0], $0[0]) { x, _ in max(x, 0) }
  }
  static let sum = TestOperator("sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False) -> Tensor", .reduction) {
    let x = try tensor($0[0])
    if x.isFake { return .reference(try Tensor(fake: Layout(contiguous: []), dtype: .float32)) }
    return .reference(try Tensor([try x.elements(as: Float.self).reduce(0, +)], shape: []))
  }
  static let split = TestOperator("split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]") {
    let x = try tensor($0[0])
    guard case .int(let size) = $0[1], size > 0, x.rank > 0 else { throw GraphError(.execution, "bad split") }
    return .list(
      try stride(from: 0, to: x.shape[0], by: size.value).map { start in
        var layout = x.layout
        layout.sizes[0] = min(size, x.sizes[0] - SymInt(start))
        layout.offset += SymInt(start) * x.strides[0]
        return .reference(try Tensor(storage: x.storage, layout: layout, dtype: x.dtype))
      })
  }
  static let view = TestOperator("view(Tensor(a) self, SymInt[] size) -> Tensor(a)") {
    let x = try tensor($0[0])
    let sizes = ($0[1].elements ?? []).compactMap { if case .int(let size) = $0 { size } else { nil } }
    guard Layout(contiguous: sizes).elementCount == x.layout.elementCount else {
      throw GraphError(.execution, "a view of sizes \(sizes) does not fit \(x.sizes)")
    }
    let layout = Layout(contiguous: sizes, offset: x.layout.offset)
    return .reference(try Tensor(storage: x.storage, layout: layout, dtype: x.dtype))
  }
  static let addInPlace = TestOperator("add_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)", .pointwise) {
    let (x, y) = (try tensor($0[0]), try tensor($0[1]))
    x.storage.bumpVersion()
    if !x.isFake {
      let (a, b) = (try x.elements(as: Float.self), try y.elements(as: Float.self))
      for index in a.indices {
        x.dataAddress?.storeBytes(of: a[index] + b[index % b.count], toByteOffset: 4 * index, as: Float.self)
      }
    }
    return $0[0]
  }
  static let rand = TestOperator("rand(SymInt[] size) -> Tensor", [.random, .factory]) { try filled($0[0], 0.25) }
  static let ones = TestOperator("ones(SymInt[] size, *, Device? device=None) -> Tensor", .factory) {
    try filled($0[0], 1)
  }
  static let print = TestOperator("print(str text) -> ()", .effectful) { _ in .tuple([]) }
  static let cat = TestOperator("cat(Tensor[] tensors, int dim=0) -> Tensor") {
    let parts = try ($0[0].elements ?? []).map(tensor)
    let count = parts.reduce(0) { $0 + $1.elementCount }
    if parts.contains(where: \.isFake) {
      return .reference(try Tensor(fake: Layout(contiguous: [SymInt(count)]), dtype: .float32))
    }
    return .reference(try Tensor(try parts.flatMap { try $0.elements(as: Float.self) }))
  }

  static func tensor(_ value: Value) throws -> Tensor {
    guard let tensor = value.reference else { throw GraphError(.execution, "a tensor is needed") }
    return tensor
  }

  private static func elementwise(
    _ a: Value, _ b: Value, _ combine: (Float, Float) -> Float
  ) throws -> Value {
    let (x, y) = (try tensor(a), try tensor(b))
    guard x.shape == y.shape else { throw GraphError(.execution, "shapes \(x.shape) and \(y.shape) differ") }
    if x.isFake || y.isFake { return .reference(try Tensor(fake: Layout(contiguous: x.sizes), dtype: x.dtype)) }
    let values = zip(try x.elements(as: Float.self), try y.elements(as: Float.self)).map { combine($0, $1) }
    return .reference(try Tensor(values, shape: x.shape))
  }

  private static func filled(_ sizes: Value, _ value: Float) throws -> Value {
    let shape = (sizes.elements ?? []).compactMap { $0.scalar?.intValue }
    return .reference(try Tensor([Float](repeating: value, count: shape.reduce(1, *)), shape: shape))
  }
}

extension Graph {
  /// Reads a graph whose operators are the test operators.
  static func parse(_ text: String) throws -> Graph { try Graph(parsing: text, operators: TestTable.shared) }
}
