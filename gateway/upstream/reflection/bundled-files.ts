/** Files that every server compiles in, and that some reflection servers do not offer. */
import { toBinary } from '@bufbuild/protobuf'
import {
  FileDescriptorProtoSchema,
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_descriptor,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
} from '@bufbuild/protobuf/wkt'
import { file_edge_v1_options } from '#proto/edge/v1/options_pb.js'
import { file_google_api_annotations } from '#proto/google/api/annotations_pb.js'
import { file_google_api_http } from '#proto/google/api/http_pb.js'
import { file_google_rpc_error_details } from '#proto/google/rpc/error_details_pb.js'

const BUNDLED = new Map(
  [
    file_google_protobuf_any,
    file_google_protobuf_api,
    file_google_protobuf_descriptor,
    file_google_protobuf_duration,
    file_google_protobuf_empty,
    file_google_protobuf_field_mask,
    file_google_protobuf_source_context,
    file_google_protobuf_struct,
    file_google_protobuf_timestamp,
    file_google_protobuf_type,
    file_google_protobuf_wrappers,
    file_google_api_annotations,
    file_google_api_http,
    file_google_rpc_error_details,
    file_edge_v1_options,
  ].map(({ proto }) => [proto.name, proto]),
)

/** @returns the serialized FileDescriptorProto of a file such as `google/protobuf/empty.proto`, if it is bundled. */
export function bundledFile(name: string): Uint8Array | undefined {
  const proto = BUNDLED.get(name)
  return proto && toBinary(FileDescriptorProtoSchema, proto)
}
