// Command bare posts, for every event, the requests in CALLS with a bare http.Client, unsigned, and reads the answers.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	var calls []struct {
		Target string
		Body   json.RawMessage
	}
	if err := json.Unmarshal([]byte(os.Getenv("CALLS")), &calls); err != nil {
		panic(err)
	}
	address := os.Getenv("AWS_ENDPOINT_URL_DYNAMODB")
	lambda.Start(func(ctx context.Context, _ json.RawMessage) (map[string]int, error) {
		for _, c := range calls {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(c.Body))
			if err != nil {
				return nil, err
			}
			r.Header.Set("X-Amz-Target", c.Target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				return nil, err
			}
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			// A condition that failed is 400: the function's call got it too.
			if err != nil || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusBadRequest {
				return nil, fmt.Errorf("status %d, %w", response.StatusCode, err)
			}
		}
		return map[string]int{"statusCode": http.StatusOK}, nil
	})
}
