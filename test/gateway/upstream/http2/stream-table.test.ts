import fc from 'fast-check'
import t from 'tap'
import { StreamTable } from '../../../../gateway/upstream/http2/stream-table.ts'

// Few ids, many of which meet in one place, and more than the table begins with.
const id = fc.oneof(
  fc.nat(300).map(n => 2 * n + 1),
  fc.nat(300).map(n => 128 * n + 1),
)
const changes = fc.array(fc.tuple(fc.constantFrom('add', 'add', 'delete'), id), { maxLength: 600, size: 'max' })

t.test('it holds what a Map would', async t => {
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

t.test('calls that come and go beside one that stays need no more room', async t => {
  const table = new StreamTable<{ id: number }>()
  const watch = { id: 1 }
  table.add(watch)
  for (let id = 3; id < 100_000; id += 2) {
    table.add({ id })
    table.delete(id)
    if (table.get(1) !== watch) throw new Error(`The stream that stays is lost at ${id}`)
  }
  t.same(table.list(), [watch])
})
