import Foundation
import Synchronization

/// A block of memory that tensors share, with a version that every write in place advances.
///
/// A *fake* storage has a size and an identity and no memory: shape propagation and alias tracking run on it unchanged.
public final class Storage {
  public let device: Device
  @exclusivity(unchecked) public private(set) var byteCount: Int
  /// Start of the memory, aligned to 64 bytes if allocated here; nil for a storage without any.
  @exclusivity(unchecked) public private(set) var baseAddress: UnsafeMutableRawPointer?
  /// The number of writes in place so far. Views of one storage share it; autograd checks it.
  @exclusivity(unchecked) public private(set) var version = 0
  public let isFake: Bool
  /// Counts the storages made by this process: a later one has a greater number.
  public let serial = Storage.nextSerial.wrappingAdd(1, ordering: .relaxed).oldValue
  /// Whether it was made in inference mode: autograd can never use it.
  @exclusivity(unchecked) package var isInference = false

  private static let nextSerial = Atomic<UInt64>(0)
  private var deallocator: (@Sendable (UnsafeMutableRawPointer) -> Void)?

  /// Allocates memory, uninitialized.
  ///
  /// - Throws: `TensorError` with code `allocationFailed` where the system has none to give.
  public convenience init(byteCount: Int, device: Device = .cpu) throws(TensorError) {
    guard device.kind == .cpu else { throw TensorError(.wrongDevice, "no allocator for device \(device)") }
    self.init(adopting: try Self.allocate(byteCount), byteCount: byteCount, device: device) { free($0) }
  }

  private static func allocate(_ byteCount: Int) throws(TensorError) -> UnsafeMutableRawPointer {
    var address: UnsafeMutableRawPointer?
    guard byteCount >= 0, posix_memalign(&address, 64, max(byteCount, 64)) == 0, let address else {
      throw TensorError(.allocationFailed, "could not allocate \(byteCount) bytes")
    }
    return address
  }

  /// Adopts memory without a copy; `deallocator` runs once, when the last tensor over it is gone.
  public init(
    adopting address: UnsafeMutableRawPointer, byteCount: Int, device: Device = .cpu,
    deallocator: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
  ) {
    self.device = device
    self.byteCount = byteCount
    self.baseAddress = address
    self.isFake = false
    self.deallocator = deallocator
  }

  /// A storage of a size and an identity, without memory.
  public convenience init(fakeByteCount: Int, device: Device = .cpu) {
    self.init(memorylessByteCount: fakeByteCount, device: device, isFake: true)
  }

  /// A storage without memory of its own: a fake one, or that of a tensor which wraps others.
  package init(memorylessByteCount: Int, device: Device, isFake: Bool) {
    self.device = device
    self.byteCount = memorylessByteCount
    self.isFake = isFake
    self.deallocator = nil
  }

  /// The serial number that the next storage will have at least.
  package static var upcomingSerial: UInt64 { nextSerial.load(ordering: .relaxed) }

  deinit {
    if let baseAddress { deallocator?(baseAddress) }
  }

  /// Makes the memory at least this large. What it held stays; what comes after is uninitialized.
  ///
  /// - Throws: `TensorError` with code `allocationFailed` where the system has none to give.
  package func grow(to byteCount: Int) throws(TensorError) {
    guard byteCount > self.byteCount else { return }
    if let old = baseAddress {
      let new = try Self.allocate(byteCount)
      new.copyMemory(from: old, byteCount: self.byteCount)
      deallocator?(old)
      (baseAddress, deallocator) = (new, { free($0) })
    }
    self.byteCount = byteCount
  }

  /// Moves the memory into a new storage and leaves this one without any: for whoever holds the only reference to it.
  package func movingMemory() -> Storage {
    guard let address = baseAddress, let release = deallocator else { return self }
    let moved = Storage(adopting: address, byteCount: byteCount, device: device, deallocator: release)
    (baseAddress, deallocator, byteCount) = (nil, nil, 0)
    return moved
  }

  /// Records a write in place.
  public func bumpVersion() { version += 1 }
}
