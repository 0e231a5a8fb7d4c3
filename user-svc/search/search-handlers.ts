import type { SearchResult, SearchServiceServer } from '#proto/search/v1/search.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { invalidArgument } from '#runtime/status.ts'
import { callerOf } from '../documents/access-rules.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import { highlight, highlightSnippets } from './search-highlights.ts'
import { hasIncludedTerm, parseSearchQuery } from './search-query.ts'
import type { SearchHit, SearchRepository } from './search-repository.ts'

export interface SearchHandlersDependencies {
  documents: SearchRepository
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 20

/** `search.v1.SearchService`. Callers may be anonymous; the results are the documents that the caller may read. */
export function createSearchHandlers({
  documents,
  pageTokens,
}: SearchHandlersDependencies): Handlers<SearchServiceServer> {
  return {
    async search({ q, pageSize, pageToken }, call) {
      const caller = callerOf(call)
      const query = parseSearchQuery(q)
      // A query of exclusions only would match, and read, almost every document.
      if (!hasIncludedTerm(query)) {
        const description = 'must contain at least one word or tag:name that is not excluded'
        throw invalidArgument([{ field: 'q', description }])
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
  const matched = new Set(hit.matched)
  return {
    documentId: id,
    ownerId: hit.owner_id,
    title: highlight(hit.title, matched),
    excerpt: highlightSnippets(hit.body, matched),
    tags,
    visibility,
    updatedAt: hit.updated_at,
    rank,
  }
}
