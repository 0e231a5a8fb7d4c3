/**
 * Access rules: for each combination of role, relation and visibility, the list, the search, the single read and each
 * action must agree with RELATIONS, evaluated here in TypeScript.
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

interface Case {
  role: Role | 'anonymous'
  isOwner: boolean
  isColleague: boolean
  granted: Access
  visibility: 'private' | 'department' | 'public'
}

/** Whether each relation holds in a case. */
const HOLDS: Record<string, (given: Case) => boolean> = {
  administrator: ({ role }) => role === 'admin',
  owner: ({ isOwner }) => isOwner,
  public: ({ visibility }) => visibility === 'public',
  moderator: ({ role, visibility }) => role === 'moderator' && visibility === 'public',
  colleague: ({ isColleague, visibility }) => isColleague && visibility === 'department',
  editor: ({ role, isColleague, visibility }) => role === 'editor' && isColleague && visibility !== 'private',
  grantedRead: ({ granted }) => granted === 'read',
  grantedWrite: ({ granted }) => granted === 'write',
}

function isAllowed(action: DocumentAction, given: Case): boolean {
  return Object.entries(RELATIONS).some(
    ([name, relation]) => relation.allows.includes(action) && HOLDS[name]?.(given) === true,
  )
}

function* cases(): Iterable<Case> {
  for (const visibility of ['private', 'department', 'public'] as const) {
    yield { role: 'anonymous', isOwner: false, isColleague: false, granted: 'none', visibility }
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

/** The user with this role and department; created once. */
async function userOf(role: Role, department: string): Promise<User> {
  const key = `${role}/${department}`
  const user = made.get(key) ?? (await createUser({ role, department }))
  made.set(key, user)
  return user
}

t.test('this test evaluates every relation of RELATIONS', async t => {
  t.same(Object.keys(HOLDS).sort(), Object.keys(RELATIONS).sort())
})

for (const given of cases()) {
  const { role, isOwner, isColleague, granted, visibility } = given
  const relation = `${role}${isOwner ? ', owner' : ''}${isColleague ? ', colleague' : ''}${granted === 'none' ? '' : `, granted ${granted}`}`

  t.test(`access of ${relation} to a ${visibility} document`, async t => {
    const caller = role === 'anonymous' ? undefined : await userOf(role, isColleague ? 'sales' : 'law')
    const owner = isOwner && caller !== undefined ? caller : await userOf('user', 'sales, owner')
    const tag = randomUUID()
    const request = { title: 'Plan', tags: [tag], visibility, department: 'sales' }
    // An administrator's token for the owner, because only administrators may assign a document to any department.
    const { id } = await docs.create(request, tokenOf(owner, 'admin'))
    const token = caller && tokenOf(caller)
    if (granted !== 'none' && caller !== undefined) await docs.grant(id, caller.id, granted, tokenOf(owner))

    const isReadable = isAllowed('read', given)
    const list = await docs.list({ owner: owner.id, pageSize: 1 }, token)
    t.equal(list.documents[0]?.id === id, isReadable, 'the list contains the document if it is readable')
    for (const q of [`plan tag:${tag}`, `tag:${tag}`]) {
      const found = await callUnary(search, search.search, SearchRequest.create({ q }), token ? { token } : {})
      t.same(
        found.results.map(({ documentId }) => documentId),
        isReadable ? [id] : [],
        'the search finds the document if it is readable',
      )
    }
    const read = docs.get(id, token)
    if (isReadable) t.match(await read, { id })
    else await t.rejects(read, { code: Code.NOT_FOUND })
    if (caller === undefined) return

    for (const [action, call] of Object.entries(CALLS)) {
      const comment = await docs.comment(id, {}, tokenOf(author, 'admin'))
      const result = call(id, comment.id, tokenOf(caller))
      if (isAllowed(action as DocumentAction, given)) await t.resolves(result, action)
      else await t.rejects(result, { code: isReadable ? Code.PERMISSION_DENIED : Code.NOT_FOUND }, action)
    }
  })
}

t.test('documents of a deactivated user are hidden in lists and single reads until the user is restored', async t => {
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
