/**
 * Converts the status details of an upstream to ProtoJSON for clients. Removes at each depth what is not for them:
 * google.rpc.DebugInfo, and the metadata of google.rpc.ErrorInfo except for the listed keys.
 */
import {
  create,
  createRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  type JsonObject,
  type Registry,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { type Any, AnySchema, BytesValueSchema } from '@bufbuild/protobuf/wkt'
import type { Any as PackedDetail } from '#proto/google/protobuf/any.ts'
import {
  DebugInfoSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  file_google_rpc_error_details,
} from '#proto/google/rpc/error_details_pb.js'

/** Maximum number of details of one error. */
const MAX_DETAILS = 16
/** Maximum length of all details of one error together, in characters of JSON. Further details are dropped. */
const MAX_DETAILS_LENGTH = 16 * 1024
/** Maximum number of Any messages inside of each other. Deeper ones are removed. */
const MAX_ANY_DEPTH = 16

/** Types whose content is never sent unchecked. */
const SENSITIVE_TYPES = [DebugInfoSchema.typeName, ErrorInfoSchema.typeName]

/**
 * Converts details. Drops a detail that is not a message of its type, or that JSON cannot express. A type that is unknown
 * becomes its `@type` and its bytes as base64 in `value`.
 */
export type DetailsConverter = (details: readonly PackedDetail[]) => JsonObject[]

/**
 * @param registry the message types of the upstream. Those of google.rpc are added.
 * @param metadataKeys keys of `ErrorInfo.metadata` that clients get.
 */
export function createDetailsConverter(registry: FileRegistry, metadataKeys: readonly string[]): DetailsConverter {
  const types = createRegistry(file_google_rpc_error_details, registry)
  const publicKeys = new Set(metadataKeys)
  const jsonTypes: Registry = Object.create(types, {
    getMessage: { value: (name: string) => types.getMessage(name) ?? unknownType(name) },
  })

  /** Changes `any`. @returns false if it must be removed. @throws Error if it is malformed. */
  function cleanAny(any: Any, depth: number): boolean {
    if (any.typeUrl === '') return true
    const name = typeName(any)
    if (name === DebugInfoSchema.typeName || depth > MAX_ANY_DEPTH) return false
    const schema = types.getMessage(name)
    if (schema === undefined) {
      const bytes = Buffer.from(any.value)
      if (SENSITIVE_TYPES.some(type => bytes.includes(type))) return false
      any.value = toBinary(BytesValueSchema, create(BytesValueSchema, { value: any.value }))
      return true
    }
    const message = fromBinary(schema, any.value)
    cleanMessage(reflect(schema, message), depth)
    any.value = toBinary(schema, message)
    return true
  }

  function cleanMessage(content: ReflectMessage, depth: number): void {
    if (content.desc.typeName === ErrorInfoSchema.typeName) {
      const { metadata } = content.message as ErrorInfo
      for (const key of Object.keys(metadata)) if (!publicKeys.has(key)) delete metadata[key]
    }
    for (const field of content.fields) {
      if (field.message === undefined || !content.isSet(field)) continue
      if (field.message.typeName === DebugInfoSchema.typeName) content.clear(field)
      else if (field.fieldKind === 'message') {
        if (!cleanEntry(content.get(field), depth)) content.clear(field)
      } else if (field.fieldKind === 'list') {
        const list = content.get(field)
        const kept = [...list].filter(entry => cleanEntry(entry as ReflectMessage, depth))
        list.clear()
        for (const entry of kept) list.add(entry)
      } else if (field.fieldKind === 'map') {
        const map = content.get(field)
        for (const [key, entry] of [...map]) if (!cleanEntry(entry as ReflectMessage, depth)) map.delete(key)
      }
    }
  }

  function cleanEntry(content: ReflectMessage, depth: number): boolean {
    if (content.desc.typeName === AnySchema.typeName) return cleanAny(content.message as Any, depth + 1)
    cleanMessage(content, depth)
    return true
  }

  function toJsonDetail(detail: PackedDetail): JsonObject | undefined {
    const any = create(AnySchema, detail)
    try {
      if (!cleanAny(any, 1)) return undefined
      return { '@type': any.typeUrl, ...(toJson(AnySchema, any, { registry: jsonTypes }) as JsonObject) }
    } catch {
      return undefined
    }
  }

  return details => {
    const result: JsonObject[] = []
    let length = 0
    for (const detail of details) {
      const json = toJsonDetail(detail)
      if (json === undefined) continue
      length += JSON.stringify(json).length
      if (length > MAX_DETAILS_LENGTH || result.length === MAX_DETAILS) break
      result.push(json)
    }
    return result
  }
}

/** Returns a type whose one field is `bytes value`. As JSON, an Any of it has the form for unknown types. */
function unknownType(name: string): DescMessage {
  return Object.create(BytesValueSchema, { typeName: { value: name } })
}

/** Returns the full name of the type of an Any, such as `google.rpc.ErrorInfo`. */
export function typeName({ typeUrl }: { readonly typeUrl: string }): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1)
}
