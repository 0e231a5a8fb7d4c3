/** A client of DocumentService for tests: partial requests, and a token per call. */
import {
  CreateCommentRequest,
  CreateDocumentRequest,
  DeleteDocumentRequest,
  DocumentChanges,
  type DocumentServiceClient,
  ListCommentsRequest,
  ListDocumentsRequest,
  ListGrantsRequest,
  UpdateDocumentRequest,
} from '#proto/docs/v1/docs.ts'
import { callUnary } from '#runtime/grpc/client.ts'

/** An access token; undefined for an anonymous call. */
type Token = string | undefined

const as = (token: Token) => (token === undefined ? {} : { token })

/** Each method fills missing fields of the request with defaults and rejects with StatusError. */
export function createDocumentClient(docs: DocumentServiceClient) {
  return {
    create: (given: Partial<CreateDocumentRequest>, token: Token) =>
      callUnary(docs, docs.createDocument, CreateDocumentRequest.create({ title: 'Plan', ...given }), as(token)),
    get: (id: string, token: Token) => callUnary(docs, docs.getDocument, { id }, as(token)),
    list: (given: Partial<ListDocumentsRequest>, token: Token) =>
      callUnary(docs, docs.listDocuments, ListDocumentsRequest.create(given), as(token)),
    update: (
      id: string,
      changes: Partial<DocumentChanges>,
      token: Token,
      rest: Partial<Pick<UpdateDocumentRequest, 'updateMask' | 'ifMatch'>> = {},
    ) => {
      const document = DocumentChanges.create(changes)
      return callUnary(docs, docs.updateDocument, UpdateDocumentRequest.create({ id, document, ...rest }), as(token))
    },
    remove: (id: string, token: Token, ifMatch: string[] = []) =>
      callUnary(docs, docs.deleteDocument, DeleteDocumentRequest.create({ id, ifMatch }), as(token)),
    comment: (documentId: string, given: Partial<CreateCommentRequest>, token: Token) =>
      callUnary(
        docs,
        docs.createComment,
        CreateCommentRequest.create({ documentId, body: 'Well', ...given }),
        as(token),
      ),
    comments: (documentId: string, given: Partial<ListCommentsRequest>, token: Token) =>
      callUnary(docs, docs.listComments, ListCommentsRequest.create({ documentId, ...given }), as(token)),
    removeComment: (documentId: string, id: string, token: Token) =>
      callUnary(docs, docs.deleteComment, { documentId, id }, as(token)),
    grant: (documentId: string, userId: string, access: string, token: Token) =>
      callUnary(docs, docs.putGrant, { documentId, userId, access }, as(token)),
    grants: (documentId: string, given: Partial<ListGrantsRequest>, token: Token) =>
      callUnary(docs, docs.listGrants, ListGrantsRequest.create({ documentId, ...given }), as(token)),
    removeGrant: (documentId: string, userId: string, token: Token) =>
      callUnary(docs, docs.deleteGrant, { documentId, userId }, as(token)),
  }
}
