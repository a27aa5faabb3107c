import Operators
import TensorCore

/// Removes a hook.
public final class HookHandle {
  private weak var table: HookTable?
  private let identifier: Int

  init(_ table: HookTable, _ identifier: Int) {
    self.table = table
    self.identifier = identifier
  }

  /// Takes the hook off; it runs no more.
  public func remove() { table?.remove(identifier) }
}

/// The hooks of a gradient function, or of the leaf that it accumulates for.
///
/// They run in this order, each kind in the order of registration: hooks on the tensors whose gradients arrive, retained
/// gradients, hooks before the function, the function, hooks after it or, for a leaf, hooks after accumulation.
final class HookTable {
  typealias TensorHook = (Tensor) throws -> Tensor?
  typealias PreHook = ([Tensor?]) throws -> [Tensor?]?
  typealias PostHook = (_ results: [Tensor?], _ gradients: [Tensor?]) throws -> [Tensor?]?

  enum Hook {
    case tensor(result: Int, TensorHook)
    case before(PreHook)
    case after(PostHook)
    case afterAccumulation((Tensor) throws -> Void)
  }

  private var hooks: [(identifier: Int, hook: Hook)] = []
  private var nextIdentifier = 0
  /// The tensors, by result, that keep the gradients which arrive for them.
  var retained: [Int: WeakReference<AutogradState>] = [:]

  func add(_ hook: Hook) -> HookHandle {
    nextIdentifier += 1
    hooks.append((nextIdentifier, hook))
    return HookHandle(self, nextIdentifier)
  }

  func remove(_ identifier: Int) { hooks.removeAll { $0.identifier == identifier } }

  /// Runs what belongs to the tensors whose gradients arrive.
  func runForTensors(_ gradients: inout [Tensor?]) throws {
    for case .tensor(let result, let hook) in hooks.map(\.hook) {
      guard let gradient = gradients[result], let replaced = try hook(gradient) else { continue }
      try Self.check(replaced, replaces: gradient)
      gradients[result] = replaced
    }
    for (result, state) in retained.sorted(by: { $0.key < $1.key }) {
      guard let gradient = gradients[result], let state = state.object else { continue }
      state.gradient = if let sum = state.gradient { try sum + gradient } else { try gradient.clone() }
    }
  }

  func runBefore(_ gradients: inout [Tensor?]) throws {
    for case .before(let hook) in hooks.map(\.hook) {
      guard let replaced = try hook(gradients) else { continue }
      gradients = try Self.checked(replaced, replaces: gradients)
    }
  }

  var runsAfter: Bool { hooks.contains { if case .after = $0.hook { true } else { false } } }

  func runAfter(_ results: inout [Tensor?], gradients: [Tensor?]) throws {
    for case .after(let hook) in hooks.map(\.hook) {
      guard let replaced = try hook(results, gradients) else { continue }
      results = try Self.checked(replaced, replaces: results)
    }
  }

  func runAfterAccumulation(_ leaf: Tensor) throws {
    for case .afterAccumulation(let hook) in hooks.map(\.hook) { try hook(leaf) }
  }

  private static func checked(_ replaced: [Tensor?], replaces gradients: [Tensor?]) throws -> [Tensor?] {
    guard replaced.count == gradients.count else {
      throw AutogradError(
        .invalidGradient,
        "a hook got \(gradients.count) gradients and gave \(replaced.count); the number must be the same"
      )
    }
    for case (let new?, let old?) in zip(replaced, gradients) { try check(new, replaces: old) }
    return replaced
  }

  private static func check(_ replaced: Tensor, replaces gradient: Tensor) throws {
    guard replaced.sizes == gradient.sizes, replaced.dtype == gradient.dtype, replaced.device == gradient.device else {
      throw AutogradError(
        .invalidGradient,
        """
        a hook got a \(gradient.dtype) gradient of shape \(gradient.sizes) on \(gradient.device) and gave a \
        \(replaced.dtype) one of shape \(replaced.sizes) on \(replaced.device); these must be the same
        """)
    }
  }
}

extension Tensor {
  /// Has `hook` called with each gradient with respect to this tensor, when it has been computed.
  ///
  /// The hook belongs to the tensor's present value: after a write in place, it still sees the gradient of the value before.
  ///
  /// - Parameter hook: May give a gradient to go on with instead, of the same shape and dtype; nil keeps the one it got.
  /// - Throws: `AutogradError` with code `noGradient` where the tensor does not require a gradient.
  @discardableResult
  public func registerHook(_ hook: @escaping (Tensor) throws -> Tensor?) throws -> HookHandle {
    try refuseHookInCapture()
    guard let edge = try gradientEdge() else {
      throw AutogradError(.noGradient, "a hook was to be put on a tensor that does not require a gradient")
    }
    return edge.function.makeHooks().add(.tensor(result: edge.inputIndex, hook))
  }

  /// Has `hook` called with this leaf whenever its `grad` has been added to.
  ///
  /// - Throws: `AutogradError` with code `notLeaf` or `noGradient` for anything but a leaf that requires a gradient.
  @discardableResult
  public func registerPostAccumulateGradHook(_ hook: @escaping (Tensor) throws -> Void) throws -> HookHandle {
    try refuseHookInCapture()
    guard requiresGrad else {
      throw AutogradError(.noGradient, "a hook was to be put on a tensor that does not require a gradient")
    }
    guard let edge = try gradientEdge(), edge.function is AccumulateGradient else {
      throw AutogradError(.notLeaf, "hooks after accumulation can be put on leaves alone")
    }
    return edge.function.makeHooks().add(.afterAccumulation(hook))
  }

  /// Has the gradients of a tensor that is no leaf kept in its `grad`; nothing happens for a leaf.
  ///
  /// - Throws: `AutogradError` with code `noGradient` where the tensor does not require a gradient.
  public func retainGrad() throws {
    try refuseHookInCapture()
    guard let edge = try gradientEdge() else {
      throw AutogradError(.noGradient, "a tensor that does not require a gradient has none to retain")
    }
    if edge.function is AccumulateGradient { return }
    edge.function.makeHooks().retained[edge.inputIndex] = WeakReference(makeAutogradState())
  }
}

extension Tensor {
  /// - Throws: `AutogradError` with code `notCapturable` while a function is captured: the compiled function would not know
  ///   of the hook.
  private func refuseHookInCapture() throws {
    guard DispatchContext.current.mode == nil else {
      throw AutogradError(
        .notCapturable,
        "a hook was put on a tensor inside a captured function; put it on the function's results instead")
    }
  }
}

extension GradientFunction {
  /// Has `hook` called with the gradients that arrive, before the function runs; it may replace them.
  @discardableResult
  public final func registerPreHook(_ hook: @escaping ([Tensor?]) throws -> [Tensor?]?) -> HookHandle {
    makeHooks().add(.before(hook))
  }

  /// Has `hook` called with what the function gave and what it got, when it has run; it may replace what it gave.
  @discardableResult
  public final func registerHook(
    _ hook: @escaping (_ results: [Tensor?], _ gradients: [Tensor?]) throws -> [Tensor?]?
  ) -> HookHandle {
    makeHooks().add(.after(hook))
  }
}
