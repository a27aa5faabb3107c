import AOTAutograd

/// A part of a model: parameters, buffers and other modules, in the stored properties of a subclass.
///
///     final class MLP: Module, Layer {
///       let hidden, output: Linear
///
///       init(_ inputs: Int, _ classes: Int) throws {
///         hidden = try Linear(inputs, 128)
///         output = try Linear(128, classes)
///       }
///
///       func callAsFunction(_ x: Tensor) throws -> Tensor { try output(hidden(x).relu()) }
///     }
///
/// A tensor is a parameter where its property says `@Parameter`, a buffer where it says `@Buffer`, and the module's own affair
/// otherwise. Modules are found in properties, and in optionals, arrays, dictionaries, tuples and structures there. Everything has
/// the name that PyTorch's `state_dict` would give it: `hidden.weight`, `layers.0.self_attn.in_proj_weight`.
///
/// Compiled functions may use modules that their closures capture: they see the values that parameters and buffers have by
/// then, and are compiled anew where one has been replaced or `isTraining` has changed.
open class Module: CustomStringConvertible {
  /// Whether layers that behave differently in training, such as `Dropout`, behave so. True until `eval()`.
  @Guarded public private(set) var isTraining = true

  public init() {}

  /// Sets the training mode of this module and of all inside it.
  public final func train(_ isTraining: Bool = true) {
    for (_, module) in namedModules { module.isTraining = isTraining }
  }

  /// `train(false)`
  public final func eval() { train(false) }

  /// The name in `stateDict` of a stored property; empty where what the property holds is to be named as if it were this module's
  /// own. By default, `runningMean` is `running_mean`.
  open class func stateName(of property: String) -> String { property.snakeCased }

  /// What there is to say of this module but for what is inside it: sizes and settings.
  open var settings: String { "" }

  /// The type and settings, and the modules inside, each with its name.
  public var description: String {
    let children = ModuleWalk(self).children
    let head = "\(type(of: self))(\(settings)"
    if children.isEmpty { return head + ")" }
    let lines = children.flatMap { child in
      "(\(child.name)): \(child.module)".split(separator: "\n").map { "  \($0)" }
    }
    return ([head] + lines).joined(separator: "\n") + "\n)"
  }
}

/// A module that makes one tensor of one tensor.
public protocol Layer: Module {
  func callAsFunction(_ input: Tensor) throws -> Tensor
}
