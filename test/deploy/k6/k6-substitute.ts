/** Substitutes for the modules `k6`, `k6/http` and `k6/metrics`, as far as the scripts use them. Requests are real. */
import { registerHooks } from 'node:module'

const SUBSTITUTES: Record<string, string> = {
  k6: './k6.ts',
  'k6/http': './k6-http.ts',
  'k6/metrics': './k6-metrics.ts',
}

export interface K6Globals {
  __ENV: Record<string, string>
  /** Number of the virtual user, from 1. */
  __VU: number
  /** Number of its iteration, from 0. */
  __ITER: number
}

/** Sets the global variables of k6, and resolves imports of its modules to the substitutes from now on. */
export function installK6Substitute(globals: K6Globals): void {
  Object.assign(globalThis, globals)
  registerHooks({
    resolve(specifier, context, next) {
      const substitute = SUBSTITUTES[specifier]
      return substitute === undefined
        ? next(specifier, context)
        : next(new URL(substitute, import.meta.url).href, context)
    },
  })
}
