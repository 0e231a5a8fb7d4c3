/** Selects the callers whose calls go to the canary of an upstream. */

/** Steps of `percent`: two decimals. */
const BUCKETS = 10_000

/**
 * Whether the calls of a caller go to the canary. The result depends on caller and upstream only, so that it is the same in
 * all gateways, and a caller that is selected stays selected while `percent` rises.
 * @param percent share of callers, from 0 to 100.
 * @param salt name of the upstream, so that the canaries of two upstreams do not get the same callers.
 */
export function isCanaryCaller(caller: string, percent: number, salt: string): boolean {
  return mix(hash(caller, hash(salt, 0x811c9dc5))) % BUCKETS < percent * (BUCKETS / 100)
}

/** FNV-1a over UTF-16 code units. */
function hash(text: string, seed: number): number {
  let value = seed
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value >>> 0
}

/** The finalizer of MurmurHash3: FNV alone distributes short texts, such as addresses of one network, unevenly. */
function mix(value: number): number {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
