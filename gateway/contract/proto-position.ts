/** Finds the line of a declaration in its .proto file, for errors. */
import type { DescMethod } from '@bufbuild/protobuf'
import { pathOf } from './proto-comments.ts'

/** Returns `FILE:LINE`; `FILE` if the contract has no source code info, as that of `protoc` without an option. */
export function positionOf(method: DescMethod): string {
  const { file } = method.parent
  const path = pathOf(method)
  const location = file.proto.sourceCodeInfo?.location.find(
    candidate => candidate.path.length === path.length && candidate.path.every((part, index) => part === path[index]),
  )
  const line = location?.span[0]
  return line === undefined ? `${file.name}.proto` : `${file.name}.proto:${line + 1}`
}
