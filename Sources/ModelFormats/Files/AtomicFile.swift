import Foundation

/// A file that appears under its name whole or not at all.
///
/// The bytes go to a temporary file beside it, which reaches the disk before it takes the name: whoever reads the name at any
/// moment, also after a crash, finds the old file or the new one.
struct AtomicFile: ~Copyable {
  private let descriptor: Int32
  private let temporaryPath: String
  private let destination: URL
  private let calls: FileCalls
  private var isFinished = false

  /// Begins to write.
  ///
  /// - Throws: `ModelFormatError` with code `inputOutput`, as all that follow.
  init(replacing url: URL, calls: FileCalls = .system) throws(ModelFormatError) {
    self.calls = calls
    destination = url.resolvingSymlinksInPath()
    let folder = destination.deletingLastPathComponent()
    let name = ".\(destination.lastPathComponent).\(getpid())-\(UInt32.random(in: 0...UInt32.max)).partial"
    temporaryPath = folder.appendingPathComponent(name).path
    descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .system("cannot be written", member: destination.path) }
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFormatError) {
    var rest = bytes
    // One call may write less than it was given, and refuses more than 2 GiB on some systems.
    while let start = rest.baseAddress, !rest.isEmpty {
      let count = calls.write(descriptor, start, min(rest.count, 1 << 30))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .system("cannot be written", member: destination.path) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Gives the file its name.
  consuming func commit() throws(ModelFormatError) {
    guard calls.synchronize(descriptor) == 0, calls.rename(temporaryPath, destination.path) == 0 else {
      throw .system("cannot be written", member: destination.path)
    }
    isFinished = true
    // The name is in the folder, which has to reach the disk too; some file systems cannot say when it has.
    let folder = open(destination.deletingLastPathComponent().path, O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      _ = fsync(folder)
      close(folder)
    }
  }

  deinit {
    close(descriptor)
    if !isFinished { unlink(temporaryPath) }
  }
}
