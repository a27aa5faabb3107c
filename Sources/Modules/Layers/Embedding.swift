import AOTAutograd

/// A row of a table for each number: `torch.nn.Embedding`.
public final class Embedding: Module, Layer {
  /// [rows, width]
  @Parameter public var weight: Tensor
  /// The row that is 0 at first and gets no gradient; nil for none.
  public let paddingIndex: Int?

  /// Rows are normal with deviation 1.
  ///
  /// - Throws: `ModuleError` where the table would be empty or the padding index is no row.
  public init(_ rows: Int, _ width: Int, paddingIndex: Int? = nil, dtype: DType = .float32) throws {
    let weight = try Tensor.empty(sizes: [rows, width], of: "Embedding", dtype)
    try Initializer.normal().fill(weight)
    if let paddingIndex {
      guard 0..<rows ~= paddingIndex else {
        throw ModuleError(.invalidSetting, "Embedding: padding index \(paddingIndex) is none of the \(rows) rows")
      }
      _ = try weight.select(0, paddingIndex).zero_()
    }
    self.weight = weight
    self.paddingIndex = paddingIndex
  }

  /// - Parameter input: Integers of any shape.
  /// - Returns: [*, width]
  public func callAsFunction(_ input: Tensor) throws -> Tensor {
    try weight.embedding(input, paddingIndex: paddingIndex ?? -1)
  }

  public override var settings: String {
    "\(weight.shape[0]), \(weight.shape[1])" + (paddingIndex.map { ", paddingIndex: \($0)" } ?? "")
  }
}
