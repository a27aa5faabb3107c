/// Lets go of long chains of objects one after the other instead of one inside the other.
///
/// Freeing the head of a linked chain frees its next link inside its own `deinit`, and so on: a chain of 100,000 links
/// overflows the stack. A link that hands what it refers to over in its `deinit` is freed in constant stack.
package final class DeferredRelease {
  private static let perThread = ThreadLocal { DeferredRelease() }

  private var pending: [AnyObject] = []
  private var isDraining = false

  /// To be called in `deinit`: what `handOver` appends is released at the end of the outermost such call on this thread.
  ///
  /// - Parameter handOver: Appends every reference that the object holds, then drops them. Nothing may be freed by it.
  package static func release(_ handOver: (_ pending: inout [AnyObject]) -> Void) {
    let queue = perThread.value
    handOver(&queue.pending)
    if queue.isDraining { return }
    queue.isDraining = true
    while !queue.pending.isEmpty { _ = queue.pending.removeLast() }
    queue.isDraining = false
  }
}
