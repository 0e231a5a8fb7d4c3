/**
 * Stands in for k6: its modules `k6`, `k6/http` and `k6/metrics` as far as our scripts use them, with real requests.
 * Loaded, it makes every import of those names from now on mean the stand-ins.
 */
import { registerHooks } from 'node:module'

const STAND_INS: Record<string, string> = {
  k6: './k6.ts',
  'k6/http': './k6-http.ts',
  'k6/metrics': './k6-metrics.ts',
}

export interface K6Globals {
  __ENV: Record<string, string>
  /** Number of the virtual user, from 1 on, and of its iteration, from 0 on. */
  __VU: number
  __ITER: number
}

/** Sets what k6 gives to scripts without an import. */
export function standInForK6(globals: K6Globals): void {
  Object.assign(globalThis, globals)
  registerHooks({
    resolve(specifier, context, next) {
      const standIn = STAND_INS[specifier]
      return standIn === undefined ? next(specifier, context) : next(new URL(standIn, import.meta.url).href, context)
    },
  })
}
