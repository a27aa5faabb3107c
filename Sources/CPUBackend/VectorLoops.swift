// Loops over tile registers. A register starts at a multiple of 64 bytes and is padded to one, so loops run over whole
// vectors and write garbage into the padding. A register may be written over its own operand: each step loads before it stores.

@inline(__always)
func mapVectors<Input: SIMD, Output: SIMD>(
  _ target: UnsafeMutableRawPointer, _ a: UnsafeMutableRawPointer, _ count: Int,
  _ body: (Input) -> Output
) {
  let output = target.assumingMemoryBound(to: Output.self)
  let input = a.assumingMemoryBound(to: Input.self)
  var i = 0
  let vectors = (count &+ Output.scalarCount &- 1) / Output.scalarCount
  while i < vectors {
    output[i] = body(input[i])
    i &+= 1
  }
}

@inline(__always)
func mapVectors<A: SIMD, B: SIMD, Output: SIMD>(
  _ target: UnsafeMutableRawPointer, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ count: Int,
  _ body: (A, B) -> Output
) {
  let output = target.assumingMemoryBound(to: Output.self)
  let first = a.assumingMemoryBound(to: A.self)
  let second = b.assumingMemoryBound(to: B.self)
  var i = 0
  let vectors = (count &+ Output.scalarCount &- 1) / Output.scalarCount
  while i < vectors {
    output[i] = body(first[i], second[i])
    i &+= 1
  }
}

@inline(__always)
func mapVectors<A: SIMD, B: SIMD, C: SIMD, Output: SIMD>(
  _ target: UnsafeMutableRawPointer, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer,
  _ c: UnsafeMutableRawPointer, _ count: Int, _ body: (A, B, C) -> Output
) {
  let output = target.assumingMemoryBound(to: Output.self)
  let first = a.assumingMemoryBound(to: A.self)
  let second = b.assumingMemoryBound(to: B.self)
  let third = c.assumingMemoryBound(to: C.self)
  var i = 0
  let vectors = (count &+ Output.scalarCount &- 1) / Output.scalarCount
  while i < vectors {
    output[i] = body(first[i], second[i], third[i])
    i &+= 1
  }
}

@inline(__always)
func mapScalars<Input, Output>(
  _ target: UnsafeMutableRawPointer, _ a: UnsafeMutableRawPointer, _ count: Int, _ body: (Input) -> Output
) {
  let output = target.assumingMemoryBound(to: Output.self)
  let input = a.assumingMemoryBound(to: Input.self)
  var i = 0
  while i < count {
    output[i] = body(input[i])
    i &+= 1
  }
}

@inline(__always)
func mapScalars<A, B, Output>(
  _ target: UnsafeMutableRawPointer, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ count: Int,
  _ body: (A, B) -> Output
) {
  let output = target.assumingMemoryBound(to: Output.self)
  let first = a.assumingMemoryBound(to: A.self)
  let second = b.assumingMemoryBound(to: B.self)
  var i = 0
  while i < count {
    output[i] = body(first[i], second[i])
    i &+= 1
  }
}
