/** Scrapes the metrics of a process as Prometheus does, and parses both text formats. */
import type { TestProcess } from './test-process.ts'

const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
/** Accept header for the Prometheus text format. It has no exemplars. */
export const PLAIN_TEXT = 'text/plain;version=0.0.4'

export interface ScrapedSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly exemplar: { readonly labels: Readonly<Record<string, string>>; readonly value: number } | undefined
}

export interface Scrape {
  readonly contentType: string | null
  readonly text: string
  /** Metric name -> type. */
  readonly types: Readonly<Record<string, string>>
  readonly samples: readonly ScrapedSample[]
}

/** Returns the URL of `/metrics`, with the port that the process has logged last. */
export function metricsUrl(process: TestProcess): string {
  const listening = process.entries.findLast(({ msg }) => msg === 'metrics server listening')
  if (listening === undefined) throw new Error(`${process.name} has not logged the port of its metrics`)
  return `http://127.0.0.1:${listening['port']}/metrics`
}

/** @param accept Accept header. Default: the header that Prometheus sends, which prefers OpenMetrics. */
export async function scrape(process: TestProcess, accept = OPEN_METRICS): Promise<Scrape> {
  const response = await fetch(metricsUrl(process), { headers: { accept } })
  if (response.status !== 200) throw new Error(`${process.name}: /metrics returned ${response.status}`)
  return { contentType: response.headers.get('content-type'), ...parseExposition(await response.text()) }
}

// Sample: name{labels} value. With an exemplar (OpenMetrics): name{labels} value # {labels} value timestamp.
const SAMPLE = /^([a-z_]\w*)(?:\{(.*?)\})? (\S+)(?: # \{(.*?)\} (\S+) \d+(?:\.\d+)?)?$/
const LABEL = /([a-z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gy

/** @throws if a line does not conform to the format, or if a sample occurs twice. */
function parseExposition(text: string): Omit<Scrape, 'contentType'> {
  const types: Record<string, string> = {}
  const samples: ScrapedSample[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n').filter(line => line !== '' && line !== '# EOF')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)
    if (type !== null) types[type[1] ?? ''] = type[2] ?? ''
    else if (!/^# HELP \S+ \S/.test(line)) {
      const [, name = '', labels = '', value, exemplar, exemplarValue] = SAMPLE.exec(line) ?? []
      if (name === '') throw new Error(`Invalid line: ${line}`)
      if (seen.has(`${name}{${labels}`)) throw new Error(`Duplicate sample: ${line}`)
      seen.add(`${name}{${labels}`)
      samples.push({
        name,
        labels: parseLabels(labels),
        value: Number(value === '+Inf' ? Number.POSITIVE_INFINITY : value),
        exemplar: exemplar === undefined ? undefined : { labels: parseLabels(exemplar), value: Number(exemplarValue) },
      })
    }
  }
  return { text, types, samples }
}

function parseLabels(text: string): Record<string, string> {
  const found = [...text.matchAll(LABEL)]
  if (found.map(([whole]) => whole).join('') !== text) throw new Error(`Invalid labels: ${text}`)
  return Object.fromEntries(found.map(([, name, value]) => [name, value]))
}

/** Returns the samples of a name that have all the given labels. They may have others too. */
export function samplesOf({ samples }: Scrape, name: string, labels: Record<string, string> = {}): ScrapedSample[] {
  return samples.filter(
    sample => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )
}

/** Scrapes the number of requests whose response is not complete. */
export async function requestsInFlight(process: TestProcess): Promise<number> {
  const [sample] = samplesOf(await scrape(process), 'http_requests_in_flight')
  return sample?.value ?? 0
}
