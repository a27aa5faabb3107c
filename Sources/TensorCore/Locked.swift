import Foundation

/// A value that one thread at a time reads or writes.
///
/// `Synchronization.Mutex` does the same; but the thread sanitizer does not see its lock on Linux, and would report all that it
/// guards.
package final class Locked<Value>: @unchecked Sendable {
  // Sendable: `value` is touched only while the lock is held.
  @usableFromInline let lock = NSLock()
  @usableFromInline var value: Value

  @inlinable package init(_ value: Value) { self.value = value }

  @inlinable
  package func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    lock.lock()
    defer { lock.unlock() }
    return try body(&value)
  }
}
