/** Requests to a service whose contract has rules of protovalidate, over HTTP. */
import t from 'tap'
import { buildService, methodSource } from '../../../support/service-contract.ts'
import { until } from '../../../support/until.ts'

const service = buildService('shop.v1.ShopService', {
  imports: [
    'buf/validate/validate.proto',
    'google/protobuf/duration.proto',
    'google/protobuf/timestamp.proto',
    'google/protobuf/wrappers.proto',
    'rules.proto',
  ],
  // Predefined rules are extensions, which proto3 cannot define.
  files: {
    'rules.proto': `
      syntax = "proto2";
      package shop.rules;
      import "buf/validate/validate.proto";
      extend buf.validate.StringRules {
        optional bool sku = 80048952 [(buf.validate.predefined).cel = {
          id: "string.sku" message: "must be a stock number such as AB-123" expression: "this.matches('^[A-Z]{2}-[0-9]+$')"
        }];
      }`,
  },
  methods: [
    methodSource('CreateOrder', '(Order) returns (Order)', 'post: "/v1/orders" body: "*"'),
    methodSource('FindOrders', '(Filter) returns (Filter)', 'get: "/v1/orders/{shop_id}"'),
    methodSource('Check', '(Calculation) returns (Calculation)', 'post: "/v1/check" body: "*"'),
    methodSource('Match', '(Patterns) returns (Patterns)', 'post: "/v1/match" body: "*"'),
  ],
  messages: `
    message Order {
      option (buf.validate.message).cel = {
        id: "order.total" message: "a gift has no price"
        expression: "!this.is_gift || this.price_cents == 0u"
      };
      string buyer_email = 1 [(buf.validate.field) = { required: true string: { email: true } }];
      repeated Item order_items = 2 [(buf.validate.field).repeated = { min_items: 1 max_items: 3 }];
      bool is_gift = 3;
      uint64 price_cents = 4 [(buf.validate.field).uint64.lte = 100000];
      map<string, string> labels = 5 [(buf.validate.field).map = {
        keys: { string: { max_len: 3 } } values: { string: { min_len: 1 } }
      }];
      oneof pay_by { option (buf.validate.oneof).required = true; string card_token = 6; string voucher = 7; }
      google.protobuf.Duration keep_for = 8 [(buf.validate.field).duration.lte.seconds = 60];
      google.protobuf.Int32Value gift_wraps = 9 [(buf.validate.field).int32 = { gt: 0 }];
      google.protobuf.Timestamp placed_at = 10 [(buf.validate.field).timestamp.lt_now = true];
      float weight = 11 [(buf.validate.field) = { ignore: IGNORE_IF_ZERO_VALUE float: { gte: 0.1 } }];
    }
    message Item {
      string sku_code = 1 [(buf.validate.field).string.(shop.rules.sku) = true];
      int32 count = 2 [(buf.validate.field).cel = {
        id: "item.count" expression: "this % 2 == 0 ? '' : 'must be even, not %d'.format([this])"
      }];
    }
    message Filter {
      option (buf.validate.message).cel_expression = "this.from_cents <= this.to_cents";
      string shop_id = 1 [(buf.validate.field).string.uuid = true];
      uint32 from_cents = 2;
      uint32 to_cents = 3;
      repeated string tags = 4 [(buf.validate.field).repeated = { unique: true }];
    }
    message Calculation {
      int32 divisor = 1 [(buf.validate.field) = { required: true cel: { id: "div" expression: "10 / (this - 1) > 0" } }];
    }
    message Patterns {
      string evil = 1 [(buf.validate.field).string.pattern = "^(a+)+$"];
      bytes text = 2 [(buf.validate.field).bytes.pattern = "^[a-z]*$"];
    }
  `,
})

// One gateway for all tests. The first request may be late: it compiles the check of its structure.
t.setTimeout(120_000)
const { send, call, upstream, state } = await service.start(t, ({ message }) => message)

/** Number of calls that the service has received. */
const calls = () => upstream.received.length

/** Returns the violations of a problem document as `field: description`. */
async function errorsOf(response: Response): Promise<string[]> {
  const { errors = [] } = (await response.json()) as {
    errors?: { field: string; detail?: string; description?: string }[]
  }
  return errors.map(({ field, description }) => `${field}: ${description}`)
}

const ORDER = {
  buyerEmail: 'ann@example.com',
  orderItems: [{ skuCode: 'AB-1', count: 2 }],
  cardToken: 'x',
  labels: { a: 'b' },
  keepFor: '60s',
  giftWraps: 1,
  placedAt: '2026-01-01T00:00:00Z',
  weight: 0.1,
}

await until(
  async () => (await send('POST', '/v1/orders', ORDER)).status,
  status => status === 200,
)

t.test('a message that satisfies all rules reaches the service unchanged', async t => {
  const before = calls()
  const response = await send('POST', '/v1/orders', ORDER)
  t.equal(response.status, 200)
  t.match(await response.json(), { ...ORDER, weight: Number })
  t.equal(calls(), before + 1)
})

const REJECTED: [name: string, change: object, errors: string[]][] = [
  ['a missing field', { buyerEmail: undefined }, ['buyerEmail: is required']],
  ['a format', { buyerEmail: 'ann' }, ['buyerEmail: must be a valid email address']],
  ['an empty list', { orderItems: [] }, ['orderItems: must contain at least 1 item(s)']],
  ['an unset list', { orderItems: null }, ['orderItems: must contain at least 1 item(s)']],
  [
    'a predefined rule and CEL in a list of messages',
    {
      orderItems: [
        { skuCode: 'AB-1', count: 2 },
        { skuCode: 'ab', count: 3 },
      ],
    },
    ['orderItems[1].skuCode: must be a stock number such as AB-123', 'orderItems[1].count: must be even, not 3'],
  ],
  ['a 64-bit number', { priceCents: '100001' }, ['priceCents: must be less than or equal to 100000']],
  [
    'a key and a value of a map',
    { labels: { long_key: '' } },
    [
      'labels[long_key]: has a key that is not valid: must be at most 3 characters',
      'labels[long_key]: must be at least 1 characters',
    ],
  ],
  ['a oneof without a member', { cardToken: undefined }, ['body: must have one of cardToken, voucher']],
  ['a Duration', { keepFor: '60.000000001s' }, ['keepFor: must be less than or equal to 60s']],
  ['a wrapper', { giftWraps: 0 }, ['giftWraps: must be greater than 0']],
  ['a time in the future', { placedAt: '2999-01-01T00:00:00Z' }, ['placedAt: must be less than now']],
  ['a float below its bound', { weight: 0.09 }, ['weight: must be greater than or equal to 0.10000000149011612']],
  ['CEL of the message', { isGift: true, priceCents: 5 }, ['body: a gift has no price']],
]

for (const [name, change, errors] of REJECTED) {
  t.test(`${name} that breaks a rule is 400 with its path in JSON names`, async t => {
    const before = calls()
    const response = await send('POST', '/v1/orders', { ...ORDER, ...change })
    t.equal(response.status, 400)
    t.same(await errorsOf(response), errors)
    t.equal(calls(), before, 'the service is not called')
  })
}

t.test('all violations are reported at once', async t => {
  const response = await send('POST', '/v1/orders', { buyerEmail: 'a', giftWraps: 0, keepFor: '61s' })
  t.same(
    (await errorsOf(response)).map(error => error.split(':')[0]),
    ['buyerEmail', 'orderItems', 'keepFor', 'giftWraps', 'body'],
  )
})

t.test('rules apply to path and query', async t => {
  const id = '3f0f8dbe-3b83-4b5c-9a1e-0a8f7a4f2a11'
  t.equal((await call(`/v1/orders/${id}?fromCents=1&toCents=2&tags=a&tags=b`)).status, 200)
  const response = await call('/v1/orders/x?from_cents=3&to_cents=2&tags=a&tags=a')
  t.equal(response.status, 400)
  t.same(await errorsOf(response), [
    'shopId: must be a valid UUID',
    'tags: repeated value must contain unique items',
    'query: "this.from_cents <= this.to_cents" returned false',
  ])
})

t.test('a rule that fails on a value is 500, and the client does not see the rule', async t => {
  t.equal((await send('POST', '/v1/check', { divisor: 3 })).status, 200)
  const before = calls()
  const response = await send('POST', '/v1/check', { divisor: 1 })
  t.equal(response.status, 500)
  t.notMatch(await response.text(), /rule|divi/i)
  t.match(JSON.stringify(state.lines), /shop\.v1\.Calculation: a rule cannot be evaluated: int divide by zero/)
  t.equal(calls(), before)
})

t.test('a pattern that makes RegExp backtrack is matched in linear time', async t => {
  // RegExp would take 2^5000 steps.
  const response = await send('POST', '/v1/match', { evil: `${'a'.repeat(5000)}b` })
  t.equal(response.status, 400)
  t.same(await errorsOf(response), ['evil: does not match regex pattern `^(a+)+$`'])
})

t.test('octets that are not UTF-8 break a pattern of bytes', async t => {
  t.equal((await send('POST', '/v1/match', { evil: 'a', text: 'YWI=' })).status, 200)
  const response = await send('POST', '/v1/match', { evil: 'a', text: '/w==' })
  t.equal(response.status, 400)
  t.same(await errorsOf(response), ['text: must be UTF-8'])
})
