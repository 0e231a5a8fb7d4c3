import type { Piece } from '#proto/search/v1/search.ts'
import { MARKS } from './search-repository.ts'

/** Text with marks as pieces without: what matched and what stands between. Empty pieces are left out. */
export function piecesOf(marked: string): Piece[] {
  const text = marked.replaceAll(MARKS.lessThan, '<')
  const [before = '', ...rest] = text.split(MARKS.begin)
  const pieces = rest.flatMap(part => {
    const [match = '', after = ''] = part.split(MARKS.end)
    return [
      { text: match, isMatch: true },
      { text: after, isMatch: false },
    ]
  })
  return [{ text: before, isMatch: false }, ...pieces].filter(piece => piece.text !== '')
}
