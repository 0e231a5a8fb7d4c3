/** Update masks of fields that ProtoJSON cannot name. */
import { create } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { buildService, methodSource } from '../../support/service-contract.ts'

/** Proto name -> JSON name. ProtoJSON writes no mask for the first six, and a wrong one for the others. */
const NAMES: Readonly<Record<string, string>> = {
  line_1: 'line1',
  trailing_: 'trailing',
  _leading: 'Leading',
  two__lines: 'twoLines',
  x_9_y: 'x9Y',
  mixed_Case: 'mixedCase',
  camelCase: 'camelCase',
  Upper: 'Upper',
  HTTPStatus: 'HTTPStatus',
  renamed: 'anotherName',
  dotted: 'a.b',
  plain_name: 'plainName',
}
const fields = Object.keys(NAMES)
  .map(
    (name, index) =>
      `string ${name} = ${index + 1}${/renamed|dotted/.test(name) ? ` [json_name = "${NAMES[name]}"]` : ''};`,
  )
  .join(' ')

const service = buildService('place.v1.PlaceService', {
  imports: ['google/protobuf/field_mask.proto'],
  methods: [
    methodSource('UpdatePlace', '(UpdatePlaceRequest) returns (Place)', 'patch: "/v1/places/{id}" body: "place"'),
    methodSource('ReplacePlace', '(UpdatePlaceRequest) returns (Place)', 'post: "/v1/places/{id}:replace" body: "*"'),
  ],
  messages: `
    message UpdatePlaceRequest {
      string id = 1;
      google.protobuf.FieldMask update_mask = 2 [(edge.v1.rules) = { required: true }];
      Place place = 3;
    }
    message Place {
      ${fields}
      Place inner_Place = 20;
      map<string, string> labels_1 = 21;
      repeated Place list_1 = 22;
    }
  `,
})

async function start(t: Test) {
  const gateway = await service.start(t, () => create(service.message('Place')))
  const latestPaths = () =>
    (gateway.upstream.received.at(-1)?.message as { updateMask?: { paths: string[] } } | undefined)?.updateMask?.paths
  return { ...gateway, latestPaths }
}

t.test('the default mask of a PATCH has the proto names of the fields of its body', async t => {
  const { send, latestPaths } = await start(t)
  for (const [name, jsonName] of Object.entries(NAMES)) {
    for (const spelling of new Set([name, jsonName])) {
      t.equal((await send('PATCH', '/v1/places/a', { [spelling]: 'a' })).status, 200, spelling)
      t.same(latestPaths(), [name])
      await send('PATCH', '/v1/places/a', { innerPlace: { [spelling]: 'a' }, labels1: { a_B: 'c' }, list1: [] })
      t.same(latestPaths(), [`inner_Place.${name}`, 'labels_1', 'list_1'])
    }
  }
})

t.test('a mask of the client may use JSON names and proto names of the resource', async t => {
  const { send, latestPaths } = await start(t)
  for (const [name, jsonName] of Object.entries(NAMES)) {
    for (const spelling of new Set([name, jsonName])) {
      const mask = `${spelling},innerPlace.inner_Place.${spelling},labels1.a_B`
      const expected = [name, `inner_Place.inner_Place.${name}`, 'labels_1.a_B']
      t.equal((await send('PATCH', `/v1/places/a?updateMask=${mask}`, {})).status, 200, mask)
      t.same(latestPaths(), expected)
      t.equal((await send('POST', '/v1/places/a:replace', { place: {}, update_mask: mask })).status, 200, mask)
      t.same(latestPaths(), expected)
    }
  }
  for (const [mask, paths] of [
    ['*', ['*']],
    ['', []],
    ['noField,plainName', ['no_field', 'plain_name']],
  ] as const) {
    t.equal((await send('PATCH', `/v1/places/a?update_mask=${mask}`, {})).status, 200, mask)
    t.same(latestPaths(), paths)
  }
})

t.test(
  'a mask with an unknown proto path, with an empty path, of another type or given twice is a violation of the mask',
  async t => {
    const { send, upstream } = await start(t)
    for (const body of [
      { updateMask: 'no_field' },
      { updateMask: ['line_1'] },
      { updateMask: { paths: ['line_1'] } },
      { updateMask: 'line_1', update_mask: 'line_1' },
      { updateMask: 'line_1,' },
      { updateMask: ',line1' },
      { updateMask: 'plainName,,line1' },
    ]) {
      const response = await send('POST', '/v1/places/a:replace', body)
      t.equal(response.status, 400, JSON.stringify(body))
      t.match(await response.json(), { errors: [{ field: 'updateMask' }] })
    }
    t.equal(upstream.received.length, 0)
  },
)
