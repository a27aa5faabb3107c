import EagerAutograd
import Operators

/// The kinds of errors that scenarios tell apart, in the format's words. Of any other that one names, only that there is an
/// error is compared.
enum ErrorKind: String {
  case leafInPlace = "leaf_inplace"
  case viewMadeWithoutGradients = "no_grad_view_inplace"
  case oneOfSeveralViews = "multi_output_view_inplace"
  case baseOfSeveralViews = "multi_output_view_base_modified"
  case savedTensorModified = "saved_tensor_modified"
  case rootWithoutGradient = "root_without_grad"
  case gradientShape = "bad_gradient_shape"
  case requiresGradType = "requires_grad_dtype"
  case setStorage = "set_not_differentiable"
  case resizeRequiringGradient = "resize_requires_grad"
  case overlapOfOperands = "overlap_between_operands"
  case overlapWithItself = "overlap_within_self"
  case cast = "dtype_cast"
  case viewStrides = "view_stride"

  /// The kinds that an error of this library may be of.
  static func kinds(of error: any Error) -> Set<ErrorKind> {
    switch error {
    case let error as AutogradError: kinds(error.code)
    case let error as OperatorError: kinds(error.code)
    default: []
    }
  }

  private static func kinds(_ code: AutogradError.Code) -> Set<ErrorKind> {
    switch code {
    case .leafInPlace: [.leafInPlace]
    case .viewInPlace: [.viewMadeWithoutGradients, .oneOfSeveralViews, .baseOfSeveralViews]
    case .modifiedInPlace: [.savedTensorModified]
    case .noGradient: [.rootWithoutGradient]
    case .invalidGradient: [.gradientShape]
    case .notFloatingPoint: [.requiresGradType]
    case .notDifferentiable: [.setStorage]
    case .backwardTwice, .unusedInput, .notLeaf, .inferenceTensor, .recomputationDiffers, .notCapturable: []
    }
  }

  private static func kinds(_ code: OperatorError.Code) -> Set<ErrorKind> {
    switch code {
    case .overlap: [.overlapOfOperands, .overlapWithItself]
    case .dtype: [.cast]
    case .shape: [.viewStrides]
    case .argument: [.viewStrides, .resizeRequiringGradient]
    case .notDifferentiable: [.setStorage, .resizeRequiringGradient]
    case .device, .index, .elements, .dataDependent, .inferenceTensor, .notImplemented, .assertion: []
    }
  }
}
