/**
 * The program that `protovalidate-conformance` runs for each suite: it reads a request with messages from stdin, and
 * writes what the edge says of each message to stdout. Messages whose rules stop the boot are compilation errors.
 *
 * Each message also passes both codecs as the JSON body of a request. The file `CODEC_REPORT` receives one line per
 * suite, with the counts and with the cases in which the codecs disagree with the validator or with each other.
 */

import { appendFileSync, readFileSync, writeSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import {
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  type Message,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { type Any, AnySchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { violationsToProto } from '@bufbuild/protovalidate'
import { createRulesCheck } from '../../../gateway/contract/validation/rules-check.ts'
import { validatorOf } from '../../../gateway/contract/validation/validator.ts'
import { createCompiledCodec } from '../../../gateway/transcoding/compiled/compiled-codec.ts'
import { jsonText } from '../../../gateway/transcoding/reference/message-json.ts'
import { createReferenceCodec } from '../../../gateway/transcoding/reference/reference-codec.ts'
import { testRoute } from '../../gateway/transcoding/compiled/codec-pair.ts'
import { comparable, outcomeOf } from '../../gateway/transcoding/compiled/comparing-codec.ts'

/** Field numbers of `TestResult` in buf/validate/conformance/harness/harness.proto. */
const RESULT = { success: 1, validationError: 2, compilationError: 3, runtimeError: 4, unexpectedError: 5 }

/** The counts of one suite. */
interface CodecReport {
  /** Messages that the validator calls valid and that JSON can express. */
  valid: number
  /** Messages that both codecs converted or rejected alike, as the validator says. */
  agreed: number
  /** Agreed messages that the compiled codec accepted without falling back. */
  compiled: number
  /** Messages that JSON cannot express. */
  withoutJson: number
  readonly disagreed: string[]
}

const { types, cases } = readRequest(readFileSync(0))
const checks = new Map<DescMessage, string | undefined>()
const report: CodecReport = { valid: 0, agreed: 0, compiled: 0, withoutJson: 0, disagreed: [] }
const response = new BinaryWriter()
for (const [name, any] of cases) {
  response.uint32(tag(1)).fork()
  response.uint32(tag(1)).string(name)
  response.uint32(tag(2)).fork()
  writeResult(response, name, any)
  response.join().join()
}
writeFully(response.finish())
const reportFile = process.env['CODEC_REPORT']
if (reportFile !== undefined) appendFileSync(reportFile, `${JSON.stringify(report)}\n`)

function writeResult(writer: BinaryWriter, name: string, any: Any): void {
  const schema = types.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1))
  if (schema === undefined) {
    writer.uint32(tag(RESULT.unexpectedError)).string(`unknown type ${any.typeUrl}`)
    return
  }
  const bootError = bootErrorOf(schema)
  if (bootError !== undefined) {
    writer.uint32(tag(RESULT.compilationError)).string(bootError)
    return
  }
  const message = fromBinary(schema, any.value)
  const result = validatorOf(types).validate(schema, message)
  compareCodecs(name, schema, message, result.kind)
  if (result.kind === 'valid') writer.uint32((RESULT.success << 3) | WireType.Varint).bool(true)
  else if (result.kind === 'error') writer.uint32(tag(RESULT.runtimeError)).string(result.error.message)
  else {
    const [violations, violationsSchema] = violationsToProto(result.violations)
    writer.uint32(tag(RESULT.validationError)).bytes(toBinary(violationsSchema, violations))
  }
}

function bootErrorOf(schema: DescMessage): string | undefined {
  if (!checks.has(schema)) {
    const outcome = outcomeOf(() => createRulesCheck()(schema, types))
    checks.set(schema, 'error' in outcome ? String(outcome.error) : undefined)
  }
  return checks.get(schema)
}

/** Sends the message through both codecs. A codec accepts exactly what the validator calls valid. */
function compareCodecs(name: string, schema: DescMessage, message: Message, kind: 'valid' | 'invalid' | 'error'): void {
  const json = outcomeOf(() => jsonText(toJson(schema, message, { registry: types })))
  // A Duration of a million years, and messages of proto2 without a required field.
  if ('error' in json) {
    report.withoutJson++
    return
  }
  if (kind === 'valid') report.valid++
  const request = { pathValues: [], query: '', body: Buffer.from(json.result), cookies: {} }
  const route = testRoute(schema, { body: '*' })
  const reference = createReferenceCodec(route, types)
  let fallbacks = 0
  const compiled = createCompiledCodec(route, types, {
    ...reference,
    encode(input) {
      fallbacks++
      return reference.encode(input)
    },
  })
  const expected = outcomeOf(() => reference.encode(request))
  const actual = outcomeOf(() => compiled.encode(request))
  const isSame = isDeepStrictEqual(comparable(actual), comparable(expected))
  const isAsValidated = 'result' in expected === (kind === 'valid')
  if (isSame && isAsValidated) {
    report.agreed++
    if (fallbacks === 0) report.compiled++
  } else
    report.disagreed.push(
      `${name}: ${kind}, ${JSON.stringify(comparable(expected))}, ${JSON.stringify(comparable(actual))}`,
    )
}

/** Reads a TestConformanceRequest: a FileDescriptorSet as field 2, a map of cases as field 3. */
function readRequest(bytes: Uint8Array): { types: FileRegistry; cases: [string, Any][] } {
  let files = fromBinary(FileDescriptorSetSchema, new Uint8Array())
  const cases: [string, Any][] = []
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 2) files = fromBinary(FileDescriptorSetSchema, value)
    if (field !== 3) continue
    const entry = new Map(fieldsOf(value))
    const name = new TextDecoder().decode(entry.get(1))
    cases.push([name, fromBinary(AnySchema, entry.get(2) ?? new Uint8Array())])
  }
  return { types: createFileRegistry(files), cases }
}

function* fieldsOf(bytes: Uint8Array): Iterable<[number, Uint8Array]> {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field] = reader.tag()
    yield [field, reader.bytes()]
  }
}

function tag(field: number): number {
  return (field << 3) | WireType.LengthDelimited
}

/** A pipe may accept a part only. */
function writeFully(bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(1, bytes, written)
}
