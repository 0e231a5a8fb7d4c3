/**
 * The Huffman code of HPACK, RFC 7541 section 5.2 and appendix B. The code is canonical: codes of one length ascend with
 * their symbols, so it is defined by the code lengths alone.
 */
import { ConnectionError } from '../errors.ts'
import { ErrorCode } from '../protocol.ts'

const EOS = 256

// Code lengths in bits of the symbols 0 to 255 and of EOS.
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
]

/** The code of each symbol: the lowest `length` bits of `code`. */
export const HUFFMAN_CODES: readonly { readonly code: number; readonly length: number }[] = assignCodes()

function assignCodes() {
  const symbols = CODE_LENGTHS.map((length, symbol) => ({ symbol, length, code: 0 }))
  let code = 0
  let previous = 0
  for (const entry of symbols.toSorted((a, b) => a.length - b.length || a.symbol - b.symbol)) {
    code = previous === 0 ? 0 : (code + 1) * 2 ** (entry.length - previous)
    previous = entry.length
    entry.code = code
  }
  return symbols
}

// The decoder is an automaton over nibbles. A state is an inner node of the code tree; no code is shorter than 5 bits, so a
// step of 4 bits emits at most one symbol. A step is packed as: next state << 10 | emits << 9 | symbol.
const EMITS = 1 << 9
const FAILS = 0xffff_ffff
const { steps: STEPS, accepting: ACCEPTING } = buildAutomaton()

function buildAutomaton() {
  const nodes: [number, number][] = [[0, 0]]
  // A positive child is an inner node, a negative one the leaf of symbol ~child, 0 means not assigned yet.
  HUFFMAN_CODES.forEach(({ code, length }, symbol) => {
    let node = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const side = (code >>> bit) & 1
      const entry = nodes[node] as [number, number]
      if (entry[side] === 0) entry[side] = nodes.push([0, 0]) - 1
      node = entry[side] as number
    }
    const entry = nodes[node] as [number, number]
    entry[code & 1] = ~symbol
  })

  const steps = new Uint32Array(nodes.length * 16)
  for (let state = 0; state < nodes.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) steps[state * 16 + nibble] = walk(nodes, state, nibble)
  }

  // Padding is a prefix of EOS (all ones) of at most 7 bits.
  const accepting = new Uint8Array(nodes.length)
  for (let depth = 0, node = 0; depth < 8; depth++) {
    accepting[node] = 1
    node = nodes[node]?.[1] as number
  }
  return { steps, accepting }
}

function walk(nodes: readonly [number, number][], state: number, nibble: number): number {
  let node = state
  let emitted = 0
  for (let bit = 3; bit >= 0; bit--) {
    const child = nodes[node]?.[(nibble >> bit) & 1] as number
    if (child >= 0) {
      node = child
    } else {
      if (~child === EOS) return FAILS
      emitted = EMITS | ~child
      node = 0
    }
  }
  return ((node << 10) | emitted) >>> 0
}

// The shortest code has 5 bits, so 8 bits of input decode to at most 8/5 octets.
const EXPANSION = 8 / 5

/**
 * Decodes to latin1 text.
 * @throws ConnectionError COMPRESSION_ERROR for EOS in the text, and for padding that is longer than 7 bits or not all ones.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  const text = Buffer.allocUnsafe(Math.ceil((end - start) * EXPANSION))
  let length = 0
  let state = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    const high = STEPS[(state << 4) | (byte >> 4)] as number
    if (high === FAILS) throw invalid()
    if (high & EMITS) text[length++] = high & 0xff
    const low = STEPS[((high >>> 10) << 4) | (byte & 15)] as number
    if (low === FAILS) throw invalid()
    if (low & EMITS) text[length++] = low & 0xff
    state = low >>> 10
  }
  if (ACCEPTING[state] !== 1) throw invalid()
  return text.toString('latin1', 0, length)
}

function invalid(): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, 'Invalid Huffman code in a header block')
}
