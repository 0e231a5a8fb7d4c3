/** What Prometheus sees of a process. */
import type { TestProcess } from './test-process.ts'

const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
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
  /** By the name of the metric. */
  readonly types: Readonly<Record<string, string>>
  readonly samples: readonly ScrapedSample[]
}

/** Where the process that runs now says that its metrics are. */
export function metricsUrl(process: TestProcess): string {
  const served = process.entries.findLast(({ msg }) => msg === 'metrics are served')
  if (served === undefined) throw new Error(`${process.name} serves no metrics`)
  return `http://127.0.0.1:${served['port']}/metrics`
}

export async function scrape(process: TestProcess, accept = OPEN_METRICS): Promise<Scrape> {
  const response = await fetch(metricsUrl(process), { headers: { accept } })
  if (response.status !== 200) throw new Error(`The metrics answer ${response.status}`)
  return { contentType: response.headers.get('content-type'), ...parseExposition(await response.text()) }
}

// name{labels} value, and in OpenMetrics # {labels} value timestamp
const SAMPLE = /^([a-z_]\w*)(?:\{(.*?)\})? (\S+)(?: # \{(.*?)\} (\S+) \d+(?:\.\d+)?)?$/
const LABEL = /([a-z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gy

/** @throws for a line that is none of the format's, and for a sample that is there twice. */
function parseExposition(text: string): Omit<Scrape, 'contentType'> {
  const types: Record<string, string> = {}
  const samples: ScrapedSample[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n').filter(line => line !== '' && line !== '# EOF')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)
    if (type !== null) types[type[1] ?? ''] = type[2] ?? ''
    else if (!/^# HELP \S+ \S/.test(line)) {
      const [, name = '', labels = '', value, exemplar, exemplarValue] = SAMPLE.exec(line) ?? []
      if (name === '') throw new Error(`Not a line of the format: ${line}`)
      if (seen.has(`${name}{${labels}`)) throw new Error(`Twice: ${line}`)
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
  if (found.map(([whole]) => whole).join('') !== text) throw new Error(`Not labels: ${text}`)
  return Object.fromEntries(found.map(([, name, value]) => [name, value]))
}

/** The samples of a name that have these labels, and maybe more. */
export function samplesOf({ samples }: Scrape, name: string, labels: Record<string, string> = {}): ScrapedSample[] {
  return samples.filter(
    sample => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )
}
