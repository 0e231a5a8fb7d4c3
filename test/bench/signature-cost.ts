/**
 * Measures the CPU time of one Ed25519 verification of a token with typical claims. Prints it in microseconds on
 * SIGINT.
 */
import { createPublicKey, sign, verify } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { STARTED } from './pausable.ts'
import { accessTokens, createSigningKey } from './tokens.ts'

const key = createSigningKey()
const publicKey = createPublicKey(key.privateKey)
const signed = accessTokens(key, 100).map(token => {
  const input = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  return { input, signature: sign(null, input, key.privateKey) }
})

let isOver = false
process.once('SIGINT', () => {
  isOver = true
})
console.log(STARTED)
let verified = 0
const before = process.cpuUsage()
while (!isOver) {
  for (const { input, signature } of signed) if (verify(null, input, publicKey, signature)) verified++
  await nextTurn()
}
const { user, system } = process.cpuUsage(before)
console.log((user + system) / verified)
