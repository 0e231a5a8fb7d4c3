/** Contract images: a serialized FileDescriptorSet, taken apart and put together without decoding its files. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

// FileDescriptorSet {repeated FileDescriptorProto file = 1}.
const FILE = 1

/** Returns the serialized files of an image, byte for byte. @throws Error if the bytes are not a FileDescriptorSet. */
export function splitImage(image: Uint8Array): Uint8Array[] {
  const reader = new BinaryReader(image)
  const files: Uint8Array[] = []
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === FILE && wireType === WireType.LengthDelimited) files.push(reader.bytes())
    else reader.skip(wireType, field)
  }
  return files
}

/** Returns an image of serialized files. A reader requires that each file follows its imports. */
export function joinImage(files: Iterable<Uint8Array>): Uint8Array {
  const writer = new BinaryWriter()
  for (const file of files) writer.tag(FILE, WireType.LengthDelimited).bytes(file)
  return writer.finish()
}
