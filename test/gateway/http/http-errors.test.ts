import { readFileSync } from 'node:fs'
import t from 'tap'
import { fromFastifyError, HTTP_ERRORS, HttpError } from '../../../gateway/http/http-errors.ts'
import { reasonPhraseOf } from '../../../gateway/http/http-status.ts'

t.test('docs/errors.md documents each error code of the gateway with its HTTP status', async t => {
  const documentation = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  for (const [code, { status }] of Object.entries(HTTP_ERRORS)) {
    t.match(documentation, new RegExp(`^\\| \`${code}\` *\\| ${status} +\\|`, 'm'), code)
  }
})

t.test('each HTTP status of an error code has a reason phrase, the title of its problem document', async t => {
  for (const [code, { status }] of Object.entries(HTTP_ERRORS)) t.type(reasonPhraseOf(status), 'string', code)
})

t.test('an HttpError has the detail of its code unless one is given', async t => {
  t.match(new HttpError('bad_url'), { message: HTTP_ERRORS.bad_url.detail, headers: {} })
  const options = { headers: { 'retry-after': '3' }, detail: 'Retry after 3 s.' }
  t.match(new HttpError('rate_limited', options), { message: options.detail, headers: options.headers })
})

t.test('a Fastify error with a 4xx status becomes an HttpError; any other value does not', async t => {
  t.equal(fromFastifyError({ code: 'FST_ERR_CTP_BODY_TOO_LARGE', statusCode: 413 })?.code, 'body_too_large')
  t.equal(fromFastifyError({ code: 'FST_ERR_MAX_PARAM_LENGTH', statusCode: 414 })?.code, 'url_too_long')
  t.equal(fromFastifyError({ code: 'FST_ERR_OTHER', statusCode: 400 })?.code, 'bad_request')
  t.equal(fromFastifyError({ code: 'FST_ERR_OTHER', statusCode: 500 }), undefined)
  t.equal(fromFastifyError(undefined), undefined)
})
