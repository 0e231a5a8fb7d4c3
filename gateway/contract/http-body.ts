/**
 * Raw bodies: google.api.HttpBody (google/api/httpbody.proto), whose `data` is an HTTP body as it is and whose
 * `content_type` is its media type. The type has this meaning as request or response message, and as the field that
 * `body` or `response_body` names. Everywhere else it is an ordinary message.
 */
import { type DescField, type DescMessage, type DescMethod, ScalarType } from '@bufbuild/protobuf'

/** What `takesRawBody` and `returnsRawBody` need of a route. */
interface Bodies {
  readonly descriptor: Pick<DescMethod, 'input' | 'output'>
  readonly body: { readonly kind: string; readonly field?: DescField }
  readonly responseField: DescField | undefined
}

/** Whether the body of a request is raw, of any media type. */
export function takesRawBody({ body, descriptor }: Pick<Bodies, 'body' | 'descriptor'>): boolean {
  return body.kind === 'message' ? isHttpBody(descriptor.input) : isHttpBody(singularMessage(body.field))
}

/** Whether the body of a response is raw; for a stream, the bodies of its messages in their order. */
export function returnsRawBody({ responseField, descriptor }: Pick<Bodies, 'responseField' | 'descriptor'>): boolean {
  return isHttpBody(responseField === undefined ? descriptor.output : singularMessage(responseField))
}

function singularMessage(field: DescField | undefined): DescMessage | undefined {
  return field?.fieldKind === 'message' ? field.message : undefined
}

function isHttpBody(message: DescMessage | undefined): boolean {
  return (
    message?.typeName === 'google.api.HttpBody' &&
    isScalar(message, 1, 'contentType', ScalarType.STRING) &&
    isScalar(message, 2, 'data', ScalarType.BYTES)
  )
}

/** A contract may have a type of its own by that name. */
function isScalar({ fields }: DescMessage, number: number, jsonName: string, type: ScalarType): boolean {
  const field = fields.find(candidate => candidate.number === number)
  return field?.fieldKind === 'scalar' && field.scalar === type && field.jsonName === jsonName
}
