import Foundation
import Modules
import XCTest

/// Checkpoints are files that PyTorch's package for safetensors reads.
final class CheckpointFormatTests: XCTestCase {
  func testPythonReadsACheckpoint() throws {
    let model = Sequential(try Linear(3, 4), ReLU(), try Linear(4, 2))
    let optimizer = try Optimizer(model, AdamW(), learningRate: 0.25)
    let step = try aotTrainingStep(model, optimizer) { model, x in try model(x).square().mean() }
    _ = try step(Tensor.ones([5, 3]))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: file) }
    try Checkpoint(["model": model, "optimizer": optimizer]).save(to: file)
    let bias = try noGrad { try model.parameters[3].detach() }.elements(as: Float.self)
    try Python.run(
      """
      import sys
      from safetensors import safe_open
      with safe_open(sys.argv[1], "numpy") as file:
          assert file.metadata() == {"format": "pt"}, file.metadata()
          assert file.get_tensor("optimizer.groups.0.rate") == 0.25
          assert file.get_tensor("optimizer.0.weight.step") == 1
          assert file.get_tensor("optimizer.2.weight.exp_avg_sq").shape == (2, 4)
          bias = file.get_tensor("model.2.bias")
          assert bias.tolist() == [float(x) for x in sys.argv[2:]], bias
      """, [file.path] + bias.map { "\(Double($0))" }, needing: ["safetensors", "numpy"])
  }
}
