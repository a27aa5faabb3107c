// What a user of the front door needs comes with it.
@_exported import AOTArtifacts
@_exported import Capture
@_exported import EagerAutograd
@_exported import GraphIR
@_exported import Operators
@_exported import TensorCore
