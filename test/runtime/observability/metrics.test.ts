import fc from 'fast-check'
import { Counter, Histogram, Registry } from 'prom-client'
import t from 'tap'
import { BUCKETS } from '#runtime/observability/call-metrics.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { formatMetrics, prefersOpenMetrics } from '#runtime/observability/metrics-server.ts'

// The type of the constructor lacks the argument.
const OpenRegistry = Registry as unknown as new (contentType: string) => Registry

const options = {
  counter: { name: 'calls_total', help: 'Calls' },
  histogram: { name: 'call_seconds', help: 'Time' },
  labels: ['method', 'route'],
  resultLabel: 'status_code',
  resultText: String,
}

const observation = fc.record({
  method: fc.constantFrom('GET', 'PUT'),
  route: fc.constantFrom('/a', '/b/{id}', 'a "quoted" \\ one'),
  status: fc.constantFrom(200, 404),
  seconds: fc.oneof(fc.constantFrom(...BUCKETS), fc.double({ min: 0, max: 10, noNaN: true })),
  traceId: fc.option(fc.stringMatching(/^[0-9a-f]{32}$/), { nil: undefined }),
})

/** Removes the timestamps of exemplars, and metrics of the runtime. */
function withoutTimes(text: string): string[] {
  const lines = text.replace(/^(.* # \{.*\} \S+) \S+$/gm, '$1').split('\n')
  return lines.filter(line => /^(# (HELP|TYPE) )?call/.test(line)).sort()
}

t.test('call metrics are formatted exactly like a counter and a histogram of prom-client', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(observation, { minLength: 1, maxLength: 40, size: 'max' }), async observations => {
      const registers = [new OpenRegistry(Registry.OPENMETRICS_CONTENT_TYPE)]
      const labelNames = ['method', 'route', 'status_code']
      const { counter: about, histogram } = options
      const counter = new Counter({ ...about, labelNames, registers, enableExemplars: true })
      const buckets = [...BUCKETS]
      const times = new Histogram({ ...histogram, labelNames, registers, buckets, enableExemplars: true })
      const metrics = createMetrics()
      const calls = metrics.calls(options)
      for (const { method, route, status, seconds, traceId } of observations) {
        const labels = { method, route, status_code: String(status) }
        const spanId = '00f067aa0ba902b7'
        const exemplarLabels = traceId === undefined ? {} : { exemplarLabels: { trace_id: traceId, span_id: spanId } }
        counter.inc({ labels, ...exemplarLabels })
        times.observe({ labels, value: seconds, ...exemplarLabels })
        calls
          .labels(method, route)
          .record(status, seconds, traceId === undefined ? undefined : { traceId, spanId, traceFlags: 1 })
      }
      t.same(
        withoutTimes(await formatMetrics(await metrics.snapshot(), true)),
        withoutTimes(await (registers[0] as Registry).metrics()),
      )
    }),
    { numRuns: 20 },
  )
})

t.test('formatting a snapshot as OpenMetrics does not change the names in the text format', async t => {
  const metrics = createMetrics()
  metrics
    .counter({ name: 'jobs_total', help: 'Jobs', labels: ['kind'] })
    .labels('mail')
    .inc()
  const plain = /^jobs_total\{kind="mail"\} 1$/m
  for (const openMetrics of [false, true, false])
    t.match(await formatMetrics(await metrics.snapshot(), openMetrics), plain)
})

t.test('OpenMetrics is selected if the Accept header prefers it', async t => {
  const cases: [accept: string, expected: boolean][] = [
    ['', false],
    ['*/*', false],
    ['text/plain;version=0.0.4', false],
    ['application/openmetrics-text', true],
    ['application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2', true],
    ['text/plain;q=0.8, Application/OpenMetrics-Text; version=1.0.0; q=0.4', false],
    ['application/openmetrics-text;q=0', false],
    ['application/openmetrics-text;q=x', false],
  ]
  for (const [accept, expected] of cases) t.equal(prefersOpenMetrics(accept), expected, accept)
})
