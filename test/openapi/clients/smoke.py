"""Calls the running system through the client of openapi-python-client. Argument: the base URL."""

import sys
import time
from uuid import UUID

from gatehouse_client import AuthenticatedClient, Client
from gatehouse_client.api.auth_service import auth_service_login, auth_service_sign_up
from gatehouse_client.api.document_service import (
    document_service_create_document,
    document_service_delete_document,
    document_service_list_documents,
    document_service_update_document,
)
from gatehouse_client.models import (
    AuthServiceLoginBody,
    AuthServiceSignUpBody,
    AuthServiceSignUpBodyTokenDeliveryType1,
    AuthV1Tokens,
    DocsV1Document,
    DocsV1DocumentChanges,
    DocsV1ListDocumentsResponse,
    DocumentServiceCreateDocumentBody,
    Problem,
)

url = sys.argv[1]
anonymous = Client(base_url=url)

email = f"python-{time.time_ns()}@example.com"
body = AuthServiceSignUpBody(
    email=email,
    password="a plain but lengthy phrase",
    name=None,
    token_delivery=AuthServiceSignUpBodyTokenDeliveryType1.BODY,
)
tokens = auth_service_sign_up.sync(client=anonymous, body=body)
assert isinstance(tokens, AuthV1Tokens), tokens
client = AuthenticatedClient(base_url=url, token=tokens.access_token)

wrong = auth_service_login.sync_detailed(client=anonymous, body=AuthServiceLoginBody(email=email, password="wrong"))
assert wrong.status_code == 401, wrong
assert isinstance(wrong.parsed, Problem) and wrong.parsed.code == "invalid_credentials", wrong

created = document_service_create_document.sync(
    client=client, body=DocumentServiceCreateDocumentBody(title="Plan", tags=["draft"])
)
assert isinstance(created, DocsV1Document), created
updated = document_service_update_document.sync(
    id=UUID(created.id), client=client, body=DocsV1DocumentChanges(title="Plan B", tags=None), if_match=f'"{created.etag}"'
)
assert isinstance(updated, DocsV1Document), updated
listed = document_service_list_documents.sync(client=client, page_size=0)
assert isinstance(listed, DocsV1ListDocumentsResponse), listed
assert [document.title for document in listed.documents] == ["Plan B"], listed
removed = document_service_delete_document.sync_detailed(id=UUID(created.id), client=client)
assert removed.status_code == 204, removed
print("smoke test passed")
