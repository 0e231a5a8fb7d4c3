/** Microseconds of CPU that one verification by Ed25519 takes, of tokens as long as ours; prints them. Argument: seconds. */
import { createPublicKey, sign, verify } from 'node:crypto'
import { accessTokens, createSigningKey } from './tokens.ts'

const key = createSigningKey()
const publicKey = createPublicKey(key.privateKey)
const signed = accessTokens(key, 100).map(token => {
  const input = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  return { input, signature: sign(null, input, key.privateKey) }
})

const end = performance.now() + Number(process.argv[2]) * 1000
let verified = 0
const before = process.cpuUsage()
while (performance.now() < end) {
  for (const { input, signature } of signed) if (verify(null, input, publicKey, signature)) verified++
}
const { user, system } = process.cpuUsage(before)
console.log((user + system) / verified)
