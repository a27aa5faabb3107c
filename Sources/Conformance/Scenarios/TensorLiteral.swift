import AOTAutogradTesting
import Operators
import TensorCore

/// A tensor written out: its layout, and its elements in row-major order. Two inner tensors where it is of a subclass.
struct TensorLiteral: Decodable, Sendable {
  let dtype: DType
  let sizes: [Int]
  let strides: [Int]?
  let offset: Int?
  let elements: [Double]
  /// The literals that a `TwoTensor` holds.
  let inner: [TensorLiteral]

  private enum Key: String, CodingKey {
    case dtype, shape, stride, offset, data, a, b
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    dtype = try object.namedDType(.dtype)
    sizes = try object.decode([Int].self, forKey: .shape)
    strides = try object.decodeIfPresent([Int].self, forKey: .stride)
    offset = try object.decodeIfPresent(Int.self, forKey: .offset)
    elements = try object.decodeIfPresent([RecordedNumber].self, forKey: .data)?.map(\.value) ?? []
    inner = try [Key.a, .b].compactMap { try object.decodeIfPresent(TensorLiteral.self, forKey: $0) }
  }

  /// Elements in a row.
  init(_ dtype: DType, _ elements: [Double]) {
    (self.dtype, self.elements) = (dtype, elements)
    (sizes, strides, offset, inner) = ([elements.count], nil, nil, [])
  }

  /// Dense where no strides are recorded.
  var layout: Layout {
    strides.map { Layout(sizes: .init(sizes), strides: .init($0), offset: SymInt(offset ?? 0)) }
      ?? Layout(contiguous: .init(sizes))
  }

  /// A tensor of these elements in memory of its own, in the recorded layout.
  func tensor() throws -> Tensor {
    if inner.count == 2 { return try Tensor(wrapping: TwoTensor(inner[0].tensor(), inner[1].tensor())) }
    let storage = try Storage(byteCount: layout.requiredByteCount(dtype))
    var next = elements.makeIterator()
    layout.forEachElementIndex { place in
      if let number = next.next() { storage.set(place, to: number, as: dtype) }
    }
    return try Tensor(storage: storage, layout: layout, dtype: dtype)
  }
}

extension Storage {
  /// A storage of elements of one type.
  static func of(_ numbers: [Double], _ dtype: DType) throws -> Storage {
    let storage = try Storage(byteCount: numbers.count * dtype.byteCount)
    for (place, number) in numbers.enumerated() { storage.set(place, to: number, as: dtype) }
    return storage
  }

  fileprivate func set(_ place: Int, to number: Double, as dtype: DType) {
    guard let address = baseAddress.map({ $0 + place * dtype.byteCount }) else { return }
    switch dtype {
    case .bool: address.storeBytes(of: number != 0, as: Bool.self)
    case .uint8: address.storeBytes(of: UInt8(number), as: UInt8.self)
    case .int8: address.storeBytes(of: Int8(number), as: Int8.self)
    case .int16: address.storeBytes(of: Int16(number), as: Int16.self)
    case .int32: address.storeBytes(of: Int32(number), as: Int32.self)
    case .int64: address.storeBytes(of: Int(number), as: Int.self)
    case .float16: address.storeBytes(of: Half(Float(number)), as: Half.self)
    case .bfloat16: address.storeBytes(of: BFloat16(Float(number)), as: BFloat16.self)
    case .float32: address.storeBytes(of: Float(number), as: Float.self)
    case .float64: address.storeBytes(of: number, as: Double.self)
    }
  }
}
