/** How often a property is tried: `node test/…/encode.test.ts 50` tries it fifty times as often as usual. */
export function runs(usual: number): number {
  return usual * Number(process.argv[2] ?? 1)
}
