/** Reads the comments of a contract from the source code info of its descriptors. */
import type { DescField, DescFile, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf'

type Documented = DescService | DescMethod | DescMessage | DescField

// Field numbers of descriptor.proto, which form the paths of source code locations.
const FILE = { message: 4, service: 6 } as const
const MESSAGE = { field: 2, nested: 3 } as const
const SERVICE_METHOD = 2

/** Returns the leading comment of a declaration, without comment markers; undefined if it has none. */
export function commentOf(desc: Documented): string | undefined {
  const file = desc.kind === 'service' || desc.kind === 'message' ? desc.file : desc.parent?.file
  return file && commentsOf(file).get(pathOf(desc).join('.'))
}

const known = new WeakMap<DescFile, ReadonlyMap<string, string>>()

/** Returns the comments of a file by path. Indexed, because a file can have 100,000 locations (google.cloud.compute.v1). */
function commentsOf(file: DescFile): ReadonlyMap<string, string> {
  let comments = known.get(file)
  if (comments === undefined) {
    const documented = (file.proto.sourceCodeInfo?.location ?? []).filter(
      ({ leadingComments }) => leadingComments !== '',
    )
    const texts = documented.map(
      ({ path, leadingComments }) => [path.join('.'), leadingComments.trim().replace(/\n ?/g, '\n')] as const,
    )
    comments = new Map(texts.filter(([, text]) => text !== ''))
    known.set(file, comments)
  }
  return comments
}

/** Returns the path of a declaration in source code locations (descriptor.proto, SourceCodeInfo.Location). */
export function pathOf(desc: Documented): number[] {
  switch (desc.kind) {
    case 'service':
      return [FILE.service, desc.file.services.indexOf(desc)]
    case 'rpc':
      return [...pathOf(desc.parent), SERVICE_METHOD, desc.parent.methods.indexOf(desc)]
    case 'field':
      return [...pathOf(desc.parent), MESSAGE.field, desc.parent.proto.field.indexOf(desc.proto)]
    default:
      return desc.parent === undefined
        ? [FILE.message, desc.file.messages.indexOf(desc)]
        : [...pathOf(desc.parent), MESSAGE.nested, desc.parent.proto.nestedType.indexOf(desc.proto)]
  }
}
