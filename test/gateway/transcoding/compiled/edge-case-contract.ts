/** The contract of the edge cases: `every.v1`, and types that it lacks or that the compiled codec does not compile. */
import { createFileRegistry, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { buildContract } from '../../../support/contract.ts'
import { everyFieldContract } from '../../../support/every-field.ts'

const every = everyFieldContract()
const members = every
  .getMessage('every.v1.Scalars')
  ?.fields.map(({ name, number, scalar }) => `${ScalarType[scalar ?? 0]?.toLowerCase()} ${name} = ${number};`)

const PROTO3 = `
  syntax = "proto3";
  package edge.cases.v1;
  import "google/protobuf/any.proto";
  import "google/protobuf/struct.proto";
  import "google/protobuf/timestamp.proto";
  message ScalarChoice { oneof choice { ${members?.join(' ')} } }
  message Nested {
    Nested single = 1;
    repeated Nested list = 2;
    map<string, Nested> map = 3;
    google.protobuf.Any any = 4;
    google.protobuf.Timestamp time = 5;
    google.protobuf.Value value = 6;
  }
`
const PROTO2 = `
  syntax = "proto2";
  package edge.cases.v1;
  message ClosedEnums {
    enum Size { SMALL = 1; LARGE = 5; }
    optional Size size = 1;
    repeated Size list = 2;
    repeated Size packed = 3 [packed = true];
    map<string, Size> map = 4;
    oneof choice { Size chosen = 5; string other = 6; }
    optional int32 with_default = 7 [default = 7];
  }
`
/** The types `every.v1.*` and `edge.cases.v1.*`. */
export const contract = createFileRegistry(
  every,
  buildContract({ 'edge/cases/v1/3.proto': PROTO3, 'edge/cases/v1/2.proto': PROTO2 }),
)

/** Returns a type by its name without the package. */
export function typeNamed(name: string): DescMessage {
  return (contract.getMessage(`edge.cases.v1.${name}`) ?? contract.getMessage(`every.v1.${name}`)) as DescMessage
}

/** Returns the cases of all fields of some types. @param types their names, separated by spaces. */
export function eachField<Case>(types: string, casesOf: (field: DescField, type: string) => readonly Case[]): Case[] {
  return types.split(' ').flatMap(type => typeNamed(type).fields.flatMap(field => casesOf(field, type)))
}
