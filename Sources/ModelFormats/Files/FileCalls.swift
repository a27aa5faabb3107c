import Foundation

/// What writing a file asks of the operating system: tests give calls that fail.
package struct FileCalls: Sendable {
  /// `write(2)`
  package var write: @Sendable (_ descriptor: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int
  /// `fsync(2)`
  package var synchronize: @Sendable (_ descriptor: Int32) -> Int32
  /// `rename(2)`
  package var rename: @Sendable (_ old: String, _ new: String) -> Int32

  package static let system = FileCalls(
    write: { Foundation.write($0, $1, $2) }, synchronize: { fsync($0) }, rename: { Foundation.rename($0, $1) })
}
