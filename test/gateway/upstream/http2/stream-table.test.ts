import fc from 'fast-check'
import t from 'tap'
import { StreamTable } from '../../../../gateway/upstream/http2/stream-table.ts'

// Few distinct ids, many with the same slot, and more than the initial size of the table.
const id = fc.oneof(
  fc.nat(300).map(n => 2 * n + 1),
  fc.nat(300).map(n => 128 * n + 1),
)
const changes = fc.array(fc.tuple(fc.constantFrom('add', 'add', 'delete'), id), { maxLength: 600, size: 'max' })

t.test('a table holds the same streams as a Map after any adds and deletes', async t => {
  fc.assert(
    fc.property(changes, all => {
      const table = new StreamTable<{ id: number }>()
      const model = new Map<number, { id: number }>()
      for (const [change, id] of all) {
        if (change === 'delete') {
          table.delete(id)
          model.delete(id)
        } else if (!model.has(id)) {
          const stream = { id }
          table.add(stream)
          model.set(id, stream)
        }
      }
      if (table.size !== model.size) return false
      if (table.list().some(stream => model.get(stream.id) !== stream)) return false
      return all.every(([, id]) => table.get(id) === model.get(id))
    }),
  )
  t.pass()
})

t.test('a long-lived stream stays in the table while 50,000 others are added and deleted', async t => {
  const table = new StreamTable<{ id: number }>()
  const longLived = { id: 1 }
  table.add(longLived)
  for (let id = 3; id < 100_000; id += 2) {
    table.add({ id })
    table.delete(id)
    if (table.get(1) !== longLived) throw new Error(`The long-lived stream is lost at ${id}`)
  }
  t.same(table.list(), [longLived])
})
