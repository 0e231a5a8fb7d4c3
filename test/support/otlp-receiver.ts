/** An OTLP/HTTP trace collector, for protobuf and JSON, that keeps the received spans. */
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { type DescMessage, fromBinary, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf'
import type { Test } from 'tap'
import { buildContract } from './contract.ts'

/** A span with its ids in hexadecimal. */
export interface ReceivedSpan {
  readonly service: string
  readonly traceId: string
  readonly spanId: string
  /** Empty for a root span. */
  readonly parentSpanId: string
  readonly traceState: string
  readonly name: string
  /** Name of the enum value, such as `SPAN_KIND_SERVER`. */
  readonly kind: string
  /** Nanoseconds since the epoch. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Record<string, unknown>
  readonly events: readonly { name: string; attributes: Record<string, unknown> }[]
  readonly isError: boolean
  /** Content type of the export request. */
  readonly contentType: string
}

export interface OtlpReceiver {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** Number of requests received, with or without a response. */
  readonly requests: number
  /** Resolves with the first span that matches; waits for it if none was received yet. */
  span(matches: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan>
  /** Receives further requests and their spans, but sends no response. */
  hang(): void
}

/** Starts a receiver. It is closed at the end of the test. */
export async function startOtlpReceiver(t: Test): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const events = new EventEmitter().setMaxListeners(0)
  let requests = 0
  let isHanging = false
  const server = createServer(async (request, response) => {
    requests++
    const body = await buffer(request)
    const type = request.headers['content-type'] ?? ''
    if (request.url !== '/v1/traces' || !Object.hasOwn(READERS, type)) {
      response.writeHead(400).end()
      return
    }
    spans.push(...readSpans(body, type as keyof typeof READERS))
    events.emit('request')
    if (!isHanging) response.writeHead(200, { 'content-type': type }).end(type === 'application/json' ? '{}' : '')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    get requests() {
      return requests
    },
    async span(matches) {
      for (let seen = 0; ; await once(events, 'request')) {
        for (; seen < spans.length; seen++) {
          const span = spans[seen]
          if (span !== undefined && matches(span)) return span
        }
      }
    },
    hang() {
      isHanging = true
    },
  }
}

// The parts of opentelemetry/proto/collector/trace/v1/trace_service.proto and its imports that spans use.
const PROTO = `
syntax = "proto3";
package otlp;
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; string schema_url = 3; }
message Scope { string name = 1; string version = 2; }
message Span {
  bytes trace_id = 1;
  bytes span_id = 2;
  string trace_state = 3;
  bytes parent_span_id = 4;
  string name = 5;
  SpanKind kind = 6;
  fixed64 start_time_unix_nano = 7;
  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;
  uint32 dropped_attributes_count = 10;
  repeated Event events = 11;
  uint32 dropped_events_count = 12;
  repeated Link links = 13;
  uint32 dropped_links_count = 14;
  Status status = 15;
  fixed32 flags = 16;
  enum SpanKind {
    SPAN_KIND_UNSPECIFIED = 0;
    SPAN_KIND_INTERNAL = 1;
    SPAN_KIND_SERVER = 2;
    SPAN_KIND_CLIENT = 3;
    SPAN_KIND_PRODUCER = 4;
    SPAN_KIND_CONSUMER = 5;
  }
  message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; uint32 dropped_attributes_count = 4; }
  message Link { bytes trace_id = 1; bytes span_id = 2; }
}
message Status {
  reserved 1;
  string message = 2;
  StatusCode code = 3;
  enum StatusCode { STATUS_CODE_UNSET = 0; STATUS_CODE_OK = 1; STATUS_CODE_ERROR = 2; }
}
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; }
}
`

const request = buildContract({ 'otlp/otlp.proto': PROTO }).getMessage('otlp.ExportTraceServiceRequest') as DescMessage

const READERS = {
  'application/x-protobuf': (body: Uint8Array) => fromBinary(request, body),
  'application/json': (body: Uint8Array) => fromJson(request, JSON.parse(body.toString(), hexIdsToBase64)),
}

/** OTLP/JSON encodes ids in hexadecimal; ProtoJSON encodes bytes in base64. */
function hexIdsToBase64(key: string, value: JsonValue): JsonValue {
  return /^(trace|span|parentSpan)Id$/.test(key) ? Buffer.from(String(value), 'hex').toString('base64') : value
}

// ProtoJSON: bytes in base64, 64-bit integers as strings, unset fields absent.
type JsonAttributes = {
  key: string
  value?: { stringValue?: string; boolValue?: boolean; intValue?: string; doubleValue?: number }
}[]

interface JsonRequest {
  resourceSpans?: { resource?: { attributes?: JsonAttributes }; scopeSpans?: { spans?: JsonSpan[] }[] }[]
}

interface JsonSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  traceState?: string
  name: string
  kind: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes?: JsonAttributes
  events?: { name: string; attributes?: JsonAttributes }[]
  status?: { code?: string }
}

function readSpans(body: Uint8Array, type: keyof typeof READERS): ReceivedSpan[] {
  const { resourceSpans = [] } = toJson(request, READERS[type](body)) as JsonRequest
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const service = String(attributesOf(resource?.attributes)['service.name'])
    return scopeSpans.flatMap(({ spans = [] }) =>
      spans.map(span => ({ ...readSpan(service, span), contentType: type })),
    )
  })
}

function readSpan(service: string, span: JsonSpan): Omit<ReceivedSpan, 'contentType'> {
  return {
    service,
    traceId: hexOf(span.traceId),
    spanId: hexOf(span.spanId),
    parentSpanId: hexOf(span.parentSpanId ?? ''),
    traceState: span.traceState ?? '',
    name: span.name,
    kind: span.kind,
    start: BigInt(span.startTimeUnixNano),
    end: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    events: (span.events ?? []).map(event => ({ name: event.name, attributes: attributesOf(event.attributes) })),
    isError: span.status?.code === 'STATUS_CODE_ERROR',
  }
}

function attributesOf(attributes: JsonAttributes = []): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, boolValue, intValue, doubleValue } = {} }) => [
      key,
      stringValue ?? boolValue ?? (intValue === undefined ? doubleValue : Number(intValue)),
    ]),
  )
}

function hexOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex')
}
