import Foundation
import Modules
import XCTest

/// What the article shows, and that it does what the article says.
final class ArticleTests: XCTestCase {
  func testWriteAndTrainAModel() throws {
    final class Tower: Module, Layer {
      let layers: [Linear]
      @Parameter var scale: Tensor
      @Buffer var callCount: Tensor

      init(width: Int, depth: Int) throws {
        layers = try (0..<depth).map { _ in try Linear(width, width) }
        scale = try .ones([width])
        callCount = try .zeros([], dtype: .int64)
      }

      func callAsFunction(_ x: Tensor) throws -> Tensor {
        if isTraining { _ = try noGrad { try callCount.add_(1) } }
        return try layers.reduce(x) { try $1($0).relu() } * scale
      }
    }

    let tower = try Generator(seed: 7).use { try Tower(width: 8, depth: 2) }
    try Initializer.kaimingNormal(nonlinearity: .relu).fill(tower.layers[0].weight)

    XCTAssertEqual(
      try tower.stateDict.names,
      ["scale", "call_count", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"])
    let data = Generator(seed: 1)
    let (x, y) = (try Tensor.randn([16, 8], generator: data), try Tensor.randn([16, 8], generator: data))

    let (matrices, vectors) = (
      tower.namedParameters.filter { $0.tensor.rank > 1 }, tower.namedParameters.filter { $0.tensor.rank == 1 }
    )
    let optimizer = try Optimizer([
      ParameterGroup(matrices, AdamW(weightDecay: 0.1), learningRate: 0.01),
      ParameterGroup(vectors, AdamW(weightDecay: 0), learningRate: 0.01),
    ])
    let scheduler = try LearningRateScheduler(
      optimizer,
      SequentialLR([LinearLR(stepCount: 5), CosineAnnealingLR(stepCount: 20, minimum: 1e-4)], milestones: [5]))

    let before = try elements(tower(x).mseLoss(y))[0]
    let step = try aotTrainingStep(tower, optimizer, clipping: .norm(1)) { tower, x, y in try tower(x).mseLoss(y) }
    for _ in 0..<25 {
      _ = try step(x, y)
      try scheduler.step()
    }

    XCTAssertEqual(step.entryCount, 1)
    XCTAssertLessThan(try elements(step(x, y))[0], before)
    XCTAssertEqual(try tower.callCount.elements(as: Int.self), [27])

    try tower(x).mseLoss(y).backward()
    try GradientClipping.norm(1).clip(tower.parameters)
    try optimizer.step()
    optimizer.zeroGrad()

    tower.eval()
    let predict = aotModule(tower)
    let prediction = try noGrad { try predict(x) }

    try assertClose(prediction, tower(x), "prediction", accuracy: 1e-5)
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: file) }

    let checkpoint = try Checkpoint([
      "model": tower, "optimizer": optimizer, "schedule": scheduler, "generator": Generator.default,
    ])
    try checkpoint.save(to: file)
    try checkpoint.restore(from: file)
  }
}
