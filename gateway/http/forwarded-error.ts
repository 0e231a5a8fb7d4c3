import type { JsonObject } from '@bufbuild/protobuf'
import { type StatusDetails, StatusError } from '#runtime/status.ts'

/** The parts of a ForwardedError. `reason`, if set, is the member `code` of the problem document. */
export interface ForwardedErrorDetails extends StatusDetails {
  /** Text of the upstream for the client; undefined: the text of the HTTP status. */
  readonly detail?: string | undefined
  /** Status details of the upstream as ProtoJSON of google.protobuf.Any. */
  readonly details?: readonly JsonObject[]
}

/** An error of an upstream, reduced to what clients may read. The cause is the error as the upstream sent it. */
export class ForwardedError extends StatusError {
  override name = 'ForwardedError'
  readonly detail: string | undefined
  readonly details: readonly JsonObject[]

  constructor(code: StatusError['code'], { detail, details = [], ...rest }: ForwardedErrorDetails) {
    super(code, detail ?? '', rest)
    this.detail = detail
    this.details = details
  }
}
