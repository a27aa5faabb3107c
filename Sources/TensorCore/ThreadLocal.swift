import Foundation

/// A value per thread, made when a thread first asks.
///
/// Grad mode and the stack of dispatch modes live in one: code that is called may switch them for its caller, which a
/// `TaskLocal`'s scopes rule out.
public struct ThreadLocal<Value: AnyObject>: @unchecked Sendable {
  // Safe to share: a key is written once, here, and each thread reads only its own value.
  private let key: pthread_key_t
  private let makeValue: @Sendable () -> Value

  public init(_ makeValue: @escaping @Sendable () -> Value) {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { pointer in
      #if canImport(Darwin)
        Unmanaged<AnyObject>.fromOpaque(pointer).release()
      #else
        if let pointer { Unmanaged<AnyObject>.fromOpaque(pointer).release() }
      #endif
    }
    precondition(status == 0, "out of thread-local keys")
    self.key = key
    self.makeValue = makeValue
  }

  /// The calling thread's value.
  public var value: Value {
    if let pointer = pthread_getspecific(key) { return Unmanaged<Value>.fromOpaque(pointer).takeUnretainedValue() }
    let value = makeValue()
    pthread_setspecific(key, Unmanaged.passRetained(value).toOpaque())
    return value
  }
}
