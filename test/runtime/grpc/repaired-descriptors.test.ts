import { clearField, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  type DescriptorProto,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt'
import t from 'tap'
import { joinImage, splitImage } from '#runtime/grpc/image.ts'
import { repairDescriptors } from '#runtime/grpc/repaired-descriptors.ts'
import { buildImage } from '../../support/contract.ts'

const image = buildImage({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "google/protobuf/timestamp.proto";
    message Item {
      message Size { int32 in_grams = 1; }
      Size item_size = 1;
      map<string, Size> all_sizes = 2;
      google.protobuf.Timestamp at = 3;
      Kind kind = 4;
      enum Kind { ANY = 0; }
    }
    service Shop { rpc Get(Item) returns (Item); }
  `,
})

/** As proto-loader: relative names, no imports, no JSON names, another name of the map entry. */
function damage(file: Uint8Array): Uint8Array {
  const proto = fromBinary(FileDescriptorProtoSchema, file)
  proto.dependency = []
  const relative = (name: string) =>
    name
      .replace(/^\.shop\.v1\.(Item\.)?/, '')
      .replace(/^\./, '')
      .replace('AllSizesEntry', 'AllSizes')
  function damageMessage({ field, nestedType }: DescriptorProto): void {
    for (const each of field) {
      if (each.typeName !== '') each.typeName = relative(each.typeName)
      clearField(each, FieldDescriptorProtoSchema.field.jsonName)
    }
    for (const nested of nestedType) {
      if (nested.name === 'AllSizesEntry') nested.name = 'AllSizes'
      damageMessage(nested)
    }
  }
  proto.messageType.forEach(damageMessage)
  for (const method of proto.service.flatMap(service => service.method)) {
    method.inputType = relative(method.inputType)
    method.outputType = relative(method.outputType)
  }
  return toBinary(FileDescriptorProtoSchema, proto)
}

t.test('descriptors as those of proto-loader are completed to what buf writes', async t => {
  const files = splitImage(image)
  t.same(repairDescriptors(files.map(damage)).map(decode), files.map(decode))
})

/** The order of imports has no meaning. */
function decode(file: Uint8Array) {
  const proto = fromBinary(FileDescriptorProtoSchema, file)
  return { ...proto, dependency: [...proto.dependency].sort() }
}

t.test('complete descriptors stay byte for byte the same', async t => {
  const files = splitImage(image)
  t.strictSame(repairDescriptors(files), files)
})

t.test('splitting an image and joining it again gives the same image', async t => {
  t.same(
    createFileRegistry(fromBinary(FileDescriptorSetSchema, joinImage(splitImage(image)))).getService('shop.v1.Shop')
      ?.name,
    'Shop',
  )
  t.equal(Buffer.compare(joinImage(splitImage(image)), image), 0)
})
