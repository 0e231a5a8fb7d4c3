import type { SearchResult, SearchServiceServer } from '#proto/search/v1/search.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { invalidArgument } from '#runtime/status.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import { callerOf } from '../users/caller.ts'
import { piecesOf } from './search-highlights.ts'
import { looksForSomething, parseSearchQuery } from './search-query.ts'
import type { SearchHit, SearchRepository } from './search-repository.ts'

export interface SearchHandlersDependencies {
  documents: SearchRepository
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 20

export function createSearchHandlers({
  documents,
  pageTokens,
}: SearchHandlersDependencies): Handlers<SearchServiceServer> {
  return {
    async search({ q, pageSize, pageToken }, call) {
      const caller = callerOf(call)
      const query = parseSearchQuery(q)
      // To leave something out of everything would be to read everything.
      if (!looksForSomething(query)) {
        throw invalidArgument([{ field: 'q', description: 'says nothing to look for, such as a word or tag:name' }])
      }
      const list = JSON.stringify(['search', query, caller?.userId, caller?.role])
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        documents.search(query, caller, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      return { results: rows.map(toSearchResult), nextPageToken }
    },
  }
}

function toSearchResult(hit: SearchHit): SearchResult {
  const { id, tags, visibility, rank } = hit
  return {
    documentId: id,
    ownerId: hit.owner_id,
    title: piecesOf(hit.title),
    excerpt: piecesOf(hit.excerpt),
    tags,
    visibility,
    updatedAt: hit.updated_at,
    rank,
  }
}
