import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { parseContract, policyOf, serviceOf } from '#runtime/grpc/contract.ts'
import { PROTO_FILES, proto } from '../../../gateway/command/proto.ts'
import { installProtoc } from '../../support/protoc.ts'
import { runCommand } from './shop.ts'

t.setTimeout(300_000)
const ROOT = path.resolve(import.meta.dirname, '../../..')

// Before the first test: tap ends when its tests have ended.
const protoc = await installProtoc()

/** Imports every file that the command writes. */
const SHOP = `syntax = "proto3";
package shop.v1;
${PROTO_FILES.map(file => `import "${file}";`).join('\n')}
message Item { string id = 1 [(google.api.field_behavior) = REQUIRED]; edge.v1.Revocation revocation = 2; }
service Shop {
  rpc Get(Item) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/items/{id}"};
    option (edge.v1.policy) = {access: ACCESS_USER};
  }
}
`

t.test('proto writes the files of edge.v1 and google.api, and leaves files with another content', async t => {
  const folder = t.testdir({})
  const first = await runCommand(proto, folder, ['include'])
  t.equal(first.code, 0)
  t.strictSame(
    first.lines,
    PROTO_FILES.map(file => path.join(folder, 'include', file)),
  )
  const own = readdirSync(path.join(ROOT, 'proto/edge/v1')).map(name => `edge/v1/${name}`)
  t.strictSame(
    own,
    PROTO_FILES.filter(file => file.startsWith('edge/')),
    'all files of edge.v1',
  )

  t.match(await runCommand(proto, folder, ['include']), { code: 0, lines: [] }, 'the same content is no conflict')
  const changed = path.join(folder, 'include/edge/v1/options.proto')
  writeFileSync(changed, 'syntax = "proto3";')
  const conflict = await runCommand(proto, folder, ['include'])
  t.equal(conflict.code, 1)
  t.match(conflict.errors, [/options\.proto exists with another content/])
  t.equal(readFileSync(changed, 'utf8'), 'syntax = "proto3";')
  t.match(await runCommand(proto, folder, ['--force', 'include']), { code: 0, lines: [changed] })
  t.match(readFileSync(changed, 'utf8'), 'message Policy')
})

t.test('buf compiles a contract against the files', async t => {
  const folder = t.testdir({ own: { 'shop.proto': SHOP }, 'buf.yaml': BUF_YAML })
  await runCommand(proto, folder, ['include'])
  const args = ['build', '--as-file-descriptor-set', '-o', 'shop.binpb']
  await execa('buf', args, { cwd: folder, preferLocal: true, localDir: ROOT })
  t.ok(policyOfShop(path.join(folder, 'shop.binpb')), 'the policy is in the image')
})

t.test('protoc compiles a contract against the files', { skip: typeof protoc === 'string' && protoc }, async t => {
  if (typeof protoc === 'string') return
  const folder = t.testdir({ own: { 'shop.proto': SHOP } })
  await runCommand(proto, folder, ['include'])
  const args = ['-I', 'own', '-I', 'include', '--include_imports', '--descriptor_set_out=shop.binpb', 'own/shop.proto']
  await execa(protoc.command, [...protoc.args, ...args], { cwd: folder })
  t.ok(policyOfShop(path.join(folder, 'shop.binpb')), 'the policy is in the image')
})

const BUF_YAML = 'version: v2\nmodules: [{path: own}, {path: include}]\n'

function policyOfShop(image: string) {
  const [method] = serviceOf(parseContract(readFileSync(image)), 'shop.v1.Shop').methods
  return method && policyOf(method)
}
