/**
 * The rules as a table: for every way to stand to a document and every visibility, what is allowed, worked out here from
 * RELATIONS and from what each relation means, in plain code. The list, the search, the single
 * read and each action must agree.
 */
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { SearchRequest } from '#proto/search/v1/search.ts'
import type { User } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { type DocumentAction, RELATIONS } from '../../../user-svc/documents/access-rules.ts'
import { startUserSystem } from '../user-system.ts'
import { createDocumentClient } from './document-client.ts'

const system = await startUserSystem(t)
const { users, search, database, createUser, tokenOf } = system
const docs = createDocumentClient(system.docs)

type Access = 'none' | 'read' | 'write'

interface Situation {
  role: Role | 'nobody'
  isOwner: boolean
  isColleague: boolean
  granted: Access
  visibility: 'private' | 'department' | 'public'
}

/** When each relation holds, in words of the situation. */
const HOLDS: Record<string, (situation: Situation) => boolean> = {
  administrator: ({ role }) => role === 'admin',
  owner: ({ isOwner }) => isOwner,
  public: ({ visibility }) => visibility === 'public',
  moderator: ({ role, visibility }) => role === 'moderator' && visibility === 'public',
  colleague: ({ isColleague, visibility }) => isColleague && visibility === 'department',
  editor: ({ role, isColleague, visibility }) => role === 'editor' && isColleague && visibility !== 'private',
  grantedRead: ({ granted }) => granted === 'read',
  grantedWrite: ({ granted }) => granted === 'write',
}

function isAllowed(action: DocumentAction, situation: Situation): boolean {
  return Object.entries(RELATIONS).some(
    ([name, relation]) => relation.allows.includes(action) && HOLDS[name]?.(situation) === true,
  )
}

function* situations(): Iterable<Situation> {
  for (const visibility of ['private', 'department', 'public'] as const) {
    yield { role: 'nobody', isOwner: false, isColleague: false, granted: 'none', visibility }
    for (const role of ['user', 'editor', 'moderator', 'admin'] as const)
      for (const isColleague of [false, true]) {
        yield { role, isOwner: true, isColleague, granted: 'none', visibility }
        for (const granted of ['none', 'read', 'write'] as const)
          yield { role, isOwner: false, isColleague, granted, visibility }
      }
  }
}

const CALLS: Record<
  Exclude<DocumentAction, 'read'>,
  (id: string, comment: string, token: string) => Promise<unknown>
> = {
  comment: (id, _, token) => docs.comment(id, {}, token),
  update: (id, _, token) => docs.update(id, { title: 'new' }, token),
  share: (id, _, token) => docs.grants(id, {}, token),
  moderate: (id, comment, token) => docs.removeComment(id, comment, token),
  delete: (id, _, token) => docs.remove(id, token),
}

const author = await createUser({ department: 'far away' })
const made = new Map<string, User>()

/** One user for each role and department, made once. */
async function userOf(role: Role, department: string): Promise<User> {
  const key = `${role}/${department}`
  const user = made.get(key) ?? (await createUser({ role, department }))
  made.set(key, user)
  return user
}

t.test('every relation is in the table', async t => {
  t.same(Object.keys(HOLDS).sort(), Object.keys(RELATIONS).sort())
})

for (const situation of situations()) {
  const { role, isOwner, isColleague, granted, visibility } = situation
  const who = `${role}${isOwner ? ', owner' : ''}${isColleague ? ', colleague' : ''}${granted === 'none' ? '' : `, granted ${granted}`}`

  t.test(`${visibility}: ${who}`, async t => {
    const caller = role === 'nobody' ? undefined : await userOf(role, isColleague ? 'sales' : 'law')
    const owner = isOwner && caller !== undefined ? caller : await userOf('user', 'sales, owner')
    const tag = randomUUID()
    const request = { title: 'Plan', tags: [tag], visibility, department: 'sales' }
    // By an administrator's right to name any department, given to the owner for this one call.
    const { id } = await docs.create(request, tokenOf(owner, 'admin'))
    const token = caller && tokenOf(caller)
    if (granted !== 'none' && caller !== undefined) await docs.grant(id, caller.id, granted, tokenOf(owner))

    const isReadable = isAllowed('read', situation)
    const list = await docs.list({ owner: owner.id, pageSize: 1 }, token)
    t.equal(list.documents[0]?.id === id, isReadable, 'the list has it if it can be read')
    for (const q of [`plan tag:${tag}`, `tag:${tag}`]) {
      const found = await callUnary(search, search.search, SearchRequest.create({ q }), token ? { token } : {})
      t.same(
        found.results.map(({ documentId }) => documentId),
        isReadable ? [id] : [],
        'a search finds it if it can be read',
      )
    }
    const read = docs.get(id, token)
    if (isReadable) t.match(await read, { id })
    else await t.rejects(read, { code: Code.NOT_FOUND })
    if (caller === undefined) return

    for (const [action, call] of Object.entries(CALLS)) {
      const comment = await docs.comment(id, {}, tokenOf(author, 'admin'))
      const answer = call(id, comment.id, tokenOf(caller))
      if (isAllowed(action as DocumentAction, situation)) await t.resolves(answer, action)
      else await t.rejects(answer, { code: isReadable ? Code.PERMISSION_DENIED : Code.NOT_FOUND }, action)
    }
  })
}

t.test('what belongs to a closed owner is read by nobody, in a list or by itself, and comes back', async t => {
  const owner = await createUser()
  const admin = tokenOf(await userOf('admin', 'law'))
  const { id } = await docs.create({ visibility: 'public' }, tokenOf(owner))
  const list = async () => (await docs.list({ owner: owner.id }, admin)).documents
  await callUnary(users, users.deleteUser, { id: owner.id }, { token: admin })
  await t.rejects(docs.get(id, admin), { code: Code.NOT_FOUND })
  t.same(await list(), [])
  await database.db.updateTable('users_all').set({ deleted_at: null }).where('id', '=', owner.id).execute()
  t.match(await list(), [{ id }])
})
