// Calls the running system through the client of oapi-codegen. Argument: the base URL.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"smoke/api"

	"github.com/google/uuid"
	"github.com/oapi-codegen/runtime/types"
)

func pointer[T any](value T) *T { return &value }

func check(ok bool, what string, detail any) {
	if !ok {
		log.Fatalf("%s: %+v", what, detail)
	}
}

func main() {
	ctx := context.Background()
	token := ""
	authorize := func(_ context.Context, request *http.Request) error {
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		return nil
	}
	client, err := api.NewClientWithResponses(os.Args[1], api.WithRequestEditorFn(authorize))
	check(err == nil, "client", err)

	email := fmt.Sprintf("go-%d@example.com", time.Now().UnixNano())
	signUp, err := client.AuthServiceSignUpWithResponse(ctx, api.AuthServiceSignUpJSONRequestBody{
		Email: types.Email(email), Password: "a plain but lengthy phrase", TokenDelivery: pointer(api.AuthServiceSignUpJSONBodyTokenDeliveryBody),
	})
	check(err == nil && signUp.JSON201 != nil, "sign up", signUp)
	token = signUp.JSON201.AccessToken

	wrong, err := client.AuthServiceLoginWithResponse(ctx, api.AuthServiceLoginJSONRequestBody{Email: email, Password: "wrong"})
	check(err == nil && wrong.StatusCode() == 401, "wrong password", wrong)
	check(wrong.ApplicationproblemJSON401.Code == "invalid_credentials", "code", wrong)

	created, err := client.DocumentServiceCreateDocumentWithResponse(ctx, api.DocumentServiceCreateDocumentJSONRequestBody{
		Title: "Plan", Tags: &[]string{"draft"},
	})
	check(err == nil && created.JSON201 != nil, "create", created)
	id := uuid.MustParse(created.JSON201.Id)
	updated, err := client.DocumentServiceUpdateDocumentWithResponse(ctx, id,
		&api.DocumentServiceUpdateDocumentParams{IfMatch: pointer(`"` + created.JSON201.Etag + `"`)},
		api.DocumentServiceUpdateDocumentJSONRequestBody{Title: pointer("Plan B")})
	check(err == nil && updated.JSON200 != nil, "update", updated)
	listed, err := client.DocumentServiceListDocumentsWithResponse(ctx,
		&api.DocumentServiceListDocumentsParams{PageSize: pointer(int32(0))})
	check(err == nil && listed.JSON200 != nil, "list", listed)
	documents := listed.JSON200.Documents
	check(len(documents) == 1 && documents[0].Title == "Plan B", "documents", documents)
	removed, err := client.DocumentServiceDeleteDocumentWithResponse(ctx, id, nil)
	check(err == nil && removed.StatusCode() == 204, "delete", removed)
	fmt.Println("smoke test passed")
}
