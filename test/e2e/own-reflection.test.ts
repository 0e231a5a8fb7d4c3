/** Server reflection of auth-svc and user-svc: for grpcurl, and for a gateway that has no image of the contract. */
import t from 'tap'
import { grpcurl, prepareGrpcurl } from '../support/grpcurl.ts'
import { request, signUp } from '../support/rest-client.ts'
import type { TestProcess } from '../support/test-process.ts'
import { startSystem } from '../support/test-system.ts'

// grpcurl is built at the first run.
t.setTimeout(600_000)
const skip = (await prepareGrpcurl()) ?? false

function addressOf({ entries }: TestProcess): string {
  const listening = entries.find(({ msg }) => msg === 'listening')
  return `127.0.0.1:${listening?.['port']}`
}

t.test('a gateway serves auth-svc and user-svc by reflection alone', async t => {
  const { url, authSvc, userSvc } = await startSystem(t, {
    env: { GRPC_REFLECTION: 'on' },
    changeUpstream: entry => ({ ...entry, contract: 'reflection', trusted: true }),
  })
  const ada = await signUp(url)
  const me = await request('GET', `${url}/v1/users/me`, { token: ada.accessToken })
  t.match(me, { status: 200, body: { id: ada.user.id } })
  t.match(await request('GET', `${url}/v1/users/me`), { status: 401 }, 'the policies of the contract apply')
  t.match(await request('POST', `${url}/v1/auth/signup`, { body: { email: 'no address' } }), {
    status: 400,
    body: { code: 'invalid_argument' },
  })

  await t.test('grpcurl lists, describes and calls them', { skip }, async t => {
    t.same((await grpcurl(addressOf(authSvc), 'list')).split('\n'), [
      'auth.v1.AuthService',
      'auth.v1.RevocationService',
      'auth.v1.SessionService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ])
    const service = await grpcurl(addressOf(userSvc), 'describe', 'user.v1.UserService')
    t.match(service, /rpc GetMe .*GetMeRequest/)
    t.match(service, /option \(\.edge\.v1\.policy\) = \{\s+access: ACCESS_USER/, 'with its policies')
    t.match(await grpcurl(addressOf(userSvc), 'describe', '.user.v1.User'), /message User/)
    t.match(await grpcurl(addressOf(authSvc), 'describe'), /service Health/, 'all services have descriptors')
    const authorization = `authorization: Bearer ${ada.accessToken}`
    const user = await grpcurl('-H', authorization, addressOf(userSvc), 'user.v1.UserService/GetMe')
    t.match(JSON.parse(user), { id: ada.user.id })
    t.match(JSON.parse(await grpcurl(addressOf(authSvc), 'grpc.health.v1.Health/Check')), { status: 'SERVING' })
  })
})

t.test('without the setting, the services have no reflection', { skip }, async t => {
  const { userSvc } = await startSystem(t)
  await t.rejects(grpcurl(addressOf(userSvc), 'list'), { message: /does not support the reflection API/ })
})
