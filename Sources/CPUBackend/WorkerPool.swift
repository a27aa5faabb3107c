import Foundation
import Synchronization

/// A few threads that help the caller with loops whose turns are independent.
///
/// One loop at a time has the helpers; a caller that finds them busy does all its turns itself, so callers never wait for
/// each other.
final class WorkerPool: @unchecked Sendable {
  // Safe to share: the job is written under `isTaken` before `generation` is advanced, and read after.
  static let shared = WorkerPool(threadCount: ProcessInfo.processInfo.activeProcessorCount)

  /// Threads that take part in a loop, the caller among them.
  let threadCount: Int

  private struct Job {
    var turns = 0
    var body: (_ turn: Int, _ thread: Int) -> Void = { _, _ in }
  }

  private var job = Job()
  private let isTaken = Atomic(false)
  private let nextTurn = Atomic(0)
  private let generation = Atomic(0)
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wakeUp: UnsafeMutablePointer<pthread_cond_t>
  private let allDone: UnsafeMutablePointer<pthread_cond_t>
  // Under `lock`.
  private var isOpen = false
  private var helpers = 0

  private init(threadCount: Int) {
    self.threadCount = max(threadCount, 1)
    lock = .allocate(capacity: 1)
    wakeUp = .allocate(capacity: 1)
    allDone = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wakeUp, nil)
    pthread_cond_init(allDone, nil)
    for thread in 1..<max(self.threadCount, 1) {
      let worker = Thread { [unowned self] in work(thread) }
      worker.name = "LoopWorker \(thread)"
      worker.start()
    }
  }

  /// Calls `body` for each turn in `0..<turns`, on several threads at once, and returns when all are done.
  func perform(_ turns: Int, _ body: (_ turn: Int, _ thread: Int) -> Void) {
    guard turns > 1, threadCount > 1,
      isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for turn in 0..<turns { body(turn, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      job = Job(turns: turns, body: body)
      nextTurn.store(0, ordering: .relaxed)
      pthread_mutex_lock(lock)
      isOpen = true
      generation.add(1, ordering: .releasing)
      pthread_cond_broadcast(wakeUp)
      pthread_mutex_unlock(lock)
      takeTurns(0)
      pthread_mutex_lock(lock)
      isOpen = false
      while helpers > 0 { pthread_cond_wait(allDone, lock) }
      pthread_mutex_unlock(lock)
      job = Job()
    }
    isTaken.store(false, ordering: .releasing)
  }

  private func takeTurns(_ thread: Int) {
    while true {
      let turn = nextTurn.add(1, ordering: .relaxed).oldValue
      if turn >= job.turns { return }
      job.body(turn, thread)
    }
  }

  private func work(_ thread: Int) {
    var seen = 0
    while true {
      // A program's next kernel often comes at once: look for it a little before going to sleep.
      var patience = 2000
      while patience > 0, generation.load(ordering: .relaxed) == seen { patience -= 1 }
      pthread_mutex_lock(lock)
      while generation.load(ordering: .acquiring) == seen { pthread_cond_wait(wakeUp, lock) }
      seen = generation.load(ordering: .acquiring)
      let joins = isOpen
      if joins { helpers += 1 }
      pthread_mutex_unlock(lock)
      guard joins else { continue }
      takeTurns(thread)
      pthread_mutex_lock(lock)
      helpers -= 1
      if helpers == 0 { pthread_cond_signal(allDone) }
      pthread_mutex_unlock(lock)
    }
  }
}
