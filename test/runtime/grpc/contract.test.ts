import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import t from 'tap'
import { parseContract } from '#runtime/grpc/contract.ts'
import { buildImage } from '../../support/contract.ts'

t.test('a field whose descriptor has no JSON name has the one that protoc derives', async t => {
  const image = buildImage({
    'shop.proto': `
      syntax = "proto3";
      package shop.v1;
      message Item {
        int64 price_cents = 1;
        string line_2 = 2;
        string other_name = 3 [json_name = "own"];
        message Part { string part_id = 1; }
        map<string, Part> parts_by_id = 4;
      }
    `,
  })
  const names = (bytes: Uint8Array) =>
    ['shop.v1.Item', 'shop.v1.Item.Part'].flatMap(name =>
      parseContract(bytes)
        .getMessage(name)
        ?.fields.map(({ jsonName }) => jsonName),
    )
  t.same(names(image), ['priceCents', 'line2', 'own', 'partsById', 'partId'])
  const set = fromBinary(FileDescriptorSetSchema, image)
  for (const message of set.file.flatMap(({ messageType }) => messageType)) {
    for (const { field } of [message, ...message.nestedType]) {
      for (const one of field) if (one.jsonName !== 'own') one.jsonName = ''
    }
  }
  t.same(names(toBinary(FileDescriptorSetSchema, set)), names(image))
})
