import TensorCore

/// A buffer of a loop program, by dense index.
public struct BufferID: Hashable, Sendable {
  public let index: Int

  public init(_ index: Int) { self.index = index }
}

/// A strided view of a buffer: what kernels read and write. Sizes, strides and offset count elements.
public struct Operand: Hashable, Sendable {
  public var buffer: BufferID
  public var dtype: DType
  public var sizes: [Int]
  public var strides: [Int]
  public var offset: Int

  public init(buffer: BufferID, dtype: DType, sizes: [Int], strides: [Int], offset: Int = 0) {
    self.buffer = buffer
    self.dtype = dtype
    self.sizes = sizes
    self.strides = strides
    self.offset = offset
  }
}

/// A flat sequence of kernels over buffers: what a backend compiles and runs.
public struct LoopProgram: Sendable {
  public var buffers: [Buffer] = []
  /// In execution order.
  public var kernels: [Kernel] = []

  public init() {}

  public struct Buffer: Hashable, Sendable {
    public enum Role: Hashable, Sendable {
      /// Memory that the caller passes at this position, to read, to write or both.
      case external(Int)
      /// Memory that lives while the program runs; the memory plan gives it a place in the arena.
      case temporary
    }

    public var role: Role
    public var dtype: DType
    /// Elements the kernels may touch, from index 0.
    public var elementCount: Int

    public init(role: Role, dtype: DType, elementCount: Int) {
      self.role = role
      self.dtype = dtype
      self.elementCount = elementCount
    }

    var byteCount: Int { elementCount * dtype.byteCount }
  }

  /// The number of pointers that a caller passes.
  public var externalCount: Int {
    buffers.reduce(0) { count, buffer in if case .external(let i) = buffer.role { max(count, i + 1) } else { count } }
  }
}

public enum Kernel: Sendable {
  case loop(LoopKernel)
  case matmul(MatmulKernel)
  case host(HostKernel)
}

/// A loop nest over an iteration space, with reductions over its last dimensions.
///
/// For every outer index: the reductions run in order over the reduced space, each able to use the results of those before
/// it; then the stores happen, over the outer index alone or over the whole space. So a pointwise kernel has no reduced
/// dimensions, a sum one reduction and an outer store, and a softmax two reductions and a full store.
///
/// Indices run in any order, several at a time. So where a kernel loads from a buffer that it also stores to, each load
/// must read, at every index, the very element that the store writes there.
public struct LoopKernel: Hashable, Sendable {
  public var outerSizes: [Int]
  public var reducedSizes: [Int]
  public var loads: [Access]
  /// Named values over loads, reductions and earlier locals. Fusion makes them, so that expressions stay small where a
  /// value is used many times.
  public var locals: [ScalarExpression]
  public var reductions: [Reduction]
  public var stores: [Store]

  public init(
    outerSizes: [Int], reducedSizes: [Int] = [], loads: [Access], locals: [ScalarExpression] = [],
    reductions: [Reduction] = [], stores: [Store]
  ) {
    self.outerSizes = outerSizes
    self.reducedSizes = reducedSizes
    self.loads = loads
    self.locals = locals
    self.reductions = reductions
    self.stores = stores
  }

  public struct Reduction: Hashable, Sendable {
    public enum Operation: String, CaseIterable, Hashable, Sendable, BitwiseCopyable {
      case sum, product
      /// A NaN anywhere gives NaN.
      case minimum, maximum
      case any, all
      /// The flat position in the reduced space of the first extremum, a NaN counting as one; gives int64.
      case argmin, argmax
    }

    public var operation: Operation
    public var value: ScalarExpression
    /// The type to accumulate in and, but for positions, of the result.
    public var dtype: DType

    public init(_ operation: Operation, _ value: ScalarExpression, dtype: DType) {
      self.operation = operation
      self.value = value
      self.dtype = dtype
    }
  }

  /// Where each index of the iteration space finds its element: an affine function of the index, plus terms computed from
  /// other values (a gather or scatter).
  public struct Access: Hashable, Sendable {
    public var buffer: BufferID
    public var dtype: DType
    /// One per dimension of the iteration space, outer then reduced; for a store over the outer space, one per outer one.
    public var strides: [Int]
    public var offset: Int
    public var indirections: [Indirection]

    public init(buffer: BufferID, dtype: DType, strides: [Int], offset: Int = 0, indirections: [Indirection] = []) {
      self.buffer = buffer
      self.dtype = dtype
      self.strides = strides
      self.offset = offset
      self.indirections = indirections
    }
  }

  /// `index * stride` elements further, where `index` is an int64 expression over earlier loads.
  ///
  /// An index outside `0..<size` fails the run with an error, before anything of that kernel is written.
  public struct Indirection: Hashable, Sendable {
    public var index: ScalarExpression
    public var size: Int
    public var stride: Int

    public init(index: ScalarExpression, size: Int, stride: Int) {
      self.index = index
      self.size = size
      self.stride = stride
    }
  }

  public struct Store: Hashable, Sendable {
    public enum Extent: Hashable, Sendable { case outer, full }
    /// What becomes of the element that is there. Of all but `assign`, several indices may name one element: each then
    /// has its part in it, in the order of indices.
    public enum Mode: String, CaseIterable, Hashable, Sendable, BitwiseCopyable {
      case assign
      /// Adds to it; of bools, any.
      case accumulate
      /// Multiplies it; of bools, all.
      case multiply
      /// The lesser or greater of both; a NaN on either side gives NaN.
      case minimum, maximum
    }

    public var access: Access
    public var value: ScalarExpression
    public var extent: Extent
    public var mode: Mode

    public init(_ access: Access, _ value: ScalarExpression, extent: Extent = .full, mode: Mode = .assign) {
      self.access = access
      self.value = value
      self.extent = extent
      self.mode = mode
    }
  }
}

/// `result = alpha · left @ right (+ beta · result)` over the last two dimensions, batched over those before.
public struct MatmulKernel: Hashable, Sendable {
  /// [batch…, m, k]
  public var left: Operand
  /// [batch…, k, n]
  public var right: Operand
  /// [batch…, m, n]
  public var result: Operand
  public var alpha: Double
  /// 0 ignores what the result holds, NaN included.
  public var beta: Double

  public init(left: Operand, right: Operand, result: Operand, alpha: Double = 1, beta: Double = 0) {
    self.left = left
    self.right = right
    self.result = result
    self.alpha = alpha
    self.beta = beta
  }
}

/// Swift code over whole operands: random creation, and operators that users bring.
public struct HostKernel: Sendable {
  public var name: String
  public var inputs: [Operand]
  public var outputs: [Operand]
  /// Gets the base address of each input's and output's buffer, in order.
  public var body: @Sendable (_ inputs: [UnsafeMutableRawPointer], _ outputs: [UnsafeMutableRawPointer]) throws -> Void

  public init(
    name: String, inputs: [Operand], outputs: [Operand],
    body: @escaping @Sendable (_ inputs: [UnsafeMutableRawPointer], _ outputs: [UnsafeMutableRawPointer]) throws -> Void
  ) {
    self.name = name
    self.inputs = inputs
    self.outputs = outputs
    self.body = body
  }
}
