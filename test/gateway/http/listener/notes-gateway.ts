/** A gateway of the listener tests: create a note, read one, follow a feed of notes. */
import { create, type DescMessage, type Message } from '@bufbuild/protobuf'
import type { Test } from 'tap'
import { buildContract } from '../../../support/contract.ts'
import type { Responder } from '../../../support/echo-upstream.ts'
import { startTestGateway, type TestGatewayOptions } from '../../../support/test-gateway.ts'

const contract = buildContract({
  'notes/v1/notes.proto': `
    syntax = "proto3";
    package notes.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";

    service NoteService {
      rpc CreateNote(Note) returns (Note) {
        option (google.api.http) = { post: "/v1/notes" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC success_status: 201 };
      }
      rpc GetNote(Note) returns (Note) {
        option (google.api.http) = { get: "/v1/notes/{name}" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc GetMine(Note) returns (Note) {
        option (google.api.http) = { put: "/v1/mine" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Follow(Note) returns (stream Note) {
        option (google.api.http) = { get: "/v1/feed/{name}" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
    }
    message Note { string name = 1; string text = 2; }
  `,
})

const Note = contract.getMessage('notes.v1.Note') as DescMessage

export const note = (name: string, text = ''): Message => create(Note, { name, text } as Record<string, unknown>)

export function startNotes(
  t: Test,
  respond: Responder,
  options: Omit<TestGatewayOptions, 'contract' | 'service' | 'respond'> = {},
) {
  return startTestGateway(t, { contract, service: 'notes.v1.NoteService', respond, ...options })
}

/** The bytes of a GET request. */
export const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`

/** The bytes of a POST request with a JSON body. */
export function post(path: string, body: object): string {
  const json = JSON.stringify(body)
  return `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n${json}`
}
