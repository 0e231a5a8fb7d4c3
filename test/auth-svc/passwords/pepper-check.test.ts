import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createAccountRepository } from '../../../auth-svc/accounts/account-repository.ts'
import { assertPepper } from '../../../auth-svc/passwords/pepper-check.ts'
import { createRevocationRepository } from '../../../auth-svc/revocations/revocation-repository.ts'
import { openAuthDatabase } from '../auth-system.ts'

const { db } = await openAuthDatabase(t)
const [pepper, other] = [randomBytes(32), randomBytes(32)]

t.test('a pepper may change until an account has a password', async t => {
  await assertPepper(db, other)
  await assertPepper(db, pepper)
  const userId = '0197f0c6-3c1b-7bbb-8000-000000000000'
  const password = { hash: 'x', scheme: 'x' }
  await createAccountRepository(db).insertPending({ userId, email: 'a@b', password, role: 'user', name: '' })
  await assertPepper(db, pepper)
  const message = /PASSWORD_PEPPER: has the id [0-9a-f]{8}, but the stored passwords have .* [0-9a-f]{8}\./
  await t.rejects(assertPepper(db, other), { name: 'SettingsError', message })
  await assertPepper(db, pepper)
})

t.test(
  'a revocation lives as long as the longest access token ever issued, after ACCESS_TOKEN_TTL_S is lowered',
  async t => {
    const revocations = createRevocationRepository(db)
    t.equal(await revocations.recordTokenTtl(3600), 3600)
    t.equal(await revocations.recordTokenTtl(60), 3600)
    const { expiresAt } = await revocations.insertSession('s', 60_000)
    t.ok(expiresAt.getTime() > Date.now() + 3_600_000, expiresAt.toISOString())
    const longer = await revocations.insertSession('s', 7_200_000)
    t.ok(longer.expiresAt.getTime() > Date.now() + 7_100_000)
  },
)
