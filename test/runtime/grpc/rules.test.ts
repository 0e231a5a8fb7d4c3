import { create, type DescMessage, fromJson } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { ContractError } from '#runtime/grpc/contract.ts'
import { compileRules } from '#runtime/grpc/rules.ts'
import { buildContract } from '../../support/contract.ts'

const contract = buildContract({
  'r.proto': `
    syntax = "proto3";
    package r;
    import "edge/v1/options.proto";
    message All {
      string required_text = 1 [(edge.v1.rules) = { required: true }];
      string length = 2 [(edge.v1.rules) = { min_length: 2 max_length: 4 }];
      bytes octets = 3 [(edge.v1.rules) = { max_length: 2 }];
      string pattern = 4 [(edge.v1.rules) = { pattern: "a|b" }];
      string email = 5 [(edge.v1.rules) = { format: FORMAT_EMAIL }];
      string uuid = 6 [(edge.v1.rules) = { format: FORMAT_UUID }];
      string uri = 7 [(edge.v1.rules) = { format: FORMAT_URI }];
      int32 int = 8 [(edge.v1.rules) = { min: 2 max: 4 }];
      int64 long = 9 [(edge.v1.rules) = { min: 2 max: 4 }];
      double real = 10 [(edge.v1.rules) = { min: 0 }];
      string in = 11 [(edge.v1.rules) = { in: ["x", "y"] }];
      repeated string list = 12 [(edge.v1.rules) = { max_items: 2 max_length: 1 }];
      map<string, string> map = 13 [(edge.v1.rules) = { max_items: 1 max_length: 1 }];
      All nested = 14;
      repeated All nested_list = 15;
      optional string present = 16 [(edge.v1.rules) = { min_length: 1 }];
      oneof choice {
        string left = 17 [(edge.v1.rules) = { max_length: 1 }];
        All right = 18;
      }
      All required_message = 19;
      repeated string several = 20 [(edge.v1.rules) = { min_items: 2 }];
      map<string, string> pairs = 21 [(edge.v1.rules) = { min_items: 2 }];
    }
    message RequiredKinds {
      All message = 1 [(edge.v1.rules) = { required: true }];
      repeated int32 list = 2 [(edge.v1.rules) = { required: true }];
      optional int32 zero = 3 [(edge.v1.rules) = { required: true }];
    }
    message Misfit { bool flag = 1 [(edge.v1.rules) = { max_length: 1 }]; }
    message MisfitItems { string text = 1 [(edge.v1.rules) = { max_items: 1 }]; }
  `,
})
const All = contract.getMessage('r.All') as DescMessage
const validate = compileRules(All)

/** Returns the fields with violations of a message whose required field is set. */
function violatedFields(content: object): string[] {
  return validate(create(All, { requiredText: 'x', ...content } as never)).map(({ field }) => field)
}

t.test('a rule applies if its field is set', async t => {
  const cases: [object, string[]][] = [
    [{}, []],
    [{ requiredText: '' }, ['requiredText']],
    [{ length: 'a' }, ['length']],
    [{ length: 'ab' }, []],
    [{ length: 'abcde' }, ['length']],
    [{ length: '😀😀😀😀' }, []],
    [{ octets: new Uint8Array(3) }, ['octets']],
    [{ pattern: 'a' }, []],
    [{ pattern: 'ab' }, ['pattern']],
    [{ pattern: 'a\n' }, ['pattern']],
    [{ email: 'ada@example.com' }, []],
    [{ email: 'ada@bücher.example' }, []],
    [{ email: 'ada' }, ['email']],
    [{ email: 'a b@example.com' }, ['email']],
    [{ email: 'ada@exa mple.com' }, ['email']],
    [{ uuid: '0197f0c6-3c1b-7bbb-8000-000000000000' }, []],
    [{ uuid: 'not-one' }, ['uuid']],
    [{ uri: 'https://example.com/x?y#z' }, []],
    [{ uri: '/relative' }, ['uri']],
    [{ int: 1 }, ['int']],
    [{ int: 2 }, []],
    [{ int: 5 }, ['int']],
    [{ int: 0 }, []],
    [{ long: 5n }, ['long']],
    [{ long: 3n }, []],
    [{ real: Number.NaN }, ['real']],
    [{ real: -0.1 }, ['real']],
    [{ in: 'x' }, []],
    [{ in: 'z' }, ['in']],
    [{ list: ['a', 'b', 'c'] }, ['list']],
    [{ list: ['a', 'bb'] }, ['list[1]']],
    [{ several: ['a'] }, ['several']],
    [{ several: ['a', 'b'] }, []],
    [{ several: [] }, []],
    [{ pairs: { k: 'v' } }, ['pairs']],
    [{ map: { k: 'vv' } }, ['map[k]']],
    [{ map: { k: 'v', l: 'v' } }, ['map']],
    [{ nested: { requiredText: '' } }, ['nested.requiredText']],
    [
      { nestedList: [{ requiredText: 'x' }, { requiredText: '', int: 9 }] },
      ['nestedList[1].requiredText', 'nestedList[1].int'],
    ],
    [{ present: '' }, ['present']],
    [{ choice: { case: 'left', value: 'xx' } }, ['left']],
    [{ choice: { case: 'right', value: { requiredText: '' } } }, ['right.requiredText']],
  ]
  for (const [content, expected] of cases)
    t.same(
      violatedFields(content),
      expected,
      JSON.stringify(content, (_, v) => (typeof v === 'bigint' ? `${v}n` : v)),
    )
})

t.test('a required field with presence may have its zero value', async t => {
  const schema = contract.getMessage('r.RequiredKinds') as DescMessage
  const validateKinds = compileRules(schema)
  t.same(
    validateKinds(create(schema)).map(({ field }) => field),
    ['message', 'list', 'zero'],
  )
  const full = create(schema, { message: { requiredText: 'x' }, list: [0], zero: 0 } as never)
  t.same(validateKinds(full), [])
})

t.test('the rules of an unset proto2 field are not applied to its default value', async t => {
  const proto2 = buildContract({
    'd.proto': `
      syntax = "proto2";
      package d;
      import "edge/v1/options.proto";
      message Defaults {
        optional string text = 1 [(edge.v1.rules) = { min_length: 1 }];
        optional int32 number = 2 [default = 7, (edge.v1.rules) = { max: 5 }];
        optional string required = 3 [default = "x", (edge.v1.rules) = { required: true }];
      }`,
  })
  const schema = proto2.getMessage('d.Defaults') as DescMessage
  t.same(compileRules(schema)(create(schema)), [{ field: 'required', description: 'is required' }])
  t.same(
    compileRules(schema)(create(schema, { text: '', number: 7, required: '' } as never)).map(({ field }) => field),
    ['text', 'number'],
  )
})

t.test('a message of ts-proto has the same violations as the same message of @bufbuild/protobuf', async t => {
  const text = fc.option(fc.string({ maxLength: 6 }), { nil: '' })
  let [valid, invalid] = [0, 0]
  fc.assert(
    fc.property(
      fc.record({
        requiredText: text,
        length: text,
        int: fc.integer({ min: -1, max: 6 }),
        list: fc.array(text, { maxLength: 4 }),
      }),
      fc.option(text),
      (fields, left) => {
        const reference = create(All, {
          ...fields,
          ...(left !== null && { choice: { case: 'left', value: left } }),
        } as never)
        const tsProto = {
          ...fields,
          map: {},
          nestedList: [],
          choice: left === null ? undefined : { $case: 'left', value: left },
        }
        const violations = validate(reference)
        t.same(validate(tsProto), violations)
        if (violations.length > 0) invalid++
        else valid++
      },
    ),
  )
  t.ok(valid > 0 && invalid > 0, `${valid} valid and ${invalid} invalid messages`)
})

t.test('a Struct is valid with any content, also with keys that are names of Struct fields', async t => {
  const struct = buildContract({
    's.proto': `
      syntax = "proto3";
      package s;
      import "google/protobuf/struct.proto";
      message Holder { google.protobuf.Struct any = 1; }`,
  })
  const schema = struct.getMessage('s.Holder') as DescMessage
  const held = fromJson(schema, { any: { fields: { nothing: null }, values: [null] } })
  t.same(compileRules(schema)(held), [])
})

t.test('a rule that does not apply to the type of its field is a ContractError with the name of the field', async t => {
  for (const [type, field] of [
    ['r.Misfit', 'r.Misfit.flag'],
    ['r.MisfitItems', 'r.MisfitItems.text'],
  ] as const) {
    t.throws(() => compileRules(contract.getMessage(type) as DescMessage), { name: ContractError.name, message: field })
  }
})
