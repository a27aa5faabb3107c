// Sizes and strides come from outside: nothing here traps, however large the numbers are.
extension Layout {
  /// A layout of sizes and strides from outside, dense without strides; nil where no memory could hold it.
  package init?(checkedSizes sizes: [SymInt], strides: [SymInt]?, offset: SymInt, itemBytes: Int) {
    guard strides == nil || strides?.count == sizes.count else { return nil }
    // Products of sizes first: the strides of a dense tensor are computed without looking.
    guard Self.product(sizes, times: itemBytes) != nil else { return nil }
    self.init(sizes: sizes, strides: strides ?? Layout.contiguousStrides(sizes), offset: offset)
    guard requiredByteCount(itemBytes: itemBytes) != nil else { return nil }
  }

  /// The bytes a storage needs to hold the layout; nil where sizes or the lowest address are negative or an address overflows.
  package func requiredByteCount(itemBytes: Int) -> Int? {
    guard Self.product(sizes, times: itemBytes) != nil else { return nil }
    if sizes.contains(0) {
      return offset < 0 || offset.value.multipliedReportingOverflow(by: itemBytes).overflow ? nil : 0
    }
    var low = offset.value
    var high = offset.value
    for (size, stride) in zip(sizes, strides) {
      let (reach, overflow) = (size.value - 1).multipliedReportingOverflow(by: stride.value)
      let (end, endOverflow) = (reach < 0 ? low : high).addingReportingOverflow(reach)
      if overflow || endOverflow { return nil }
      if reach < 0 { low = end } else { high = end }
    }
    let (count, overflow) = high.addingReportingOverflow(1)
    let (bytes, bytesOverflow) = count.multipliedReportingOverflow(by: itemBytes)
    return low < 0 || overflow || bytesOverflow ? nil : bytes
  }

  /// The product, sizes of 0 counted as 1 as they are in strides; nil where it overflows or a size is negative.
  private static func product(_ sizes: [SymInt], times factor: Int) -> Int? {
    var count = factor
    for size in sizes {
      let (product, overflow) = count.multipliedReportingOverflow(by: max(size.value, 1))
      if overflow || size < 0 { return nil }
      count = product
    }
    return count
  }
}
