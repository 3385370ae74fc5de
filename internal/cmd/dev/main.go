// Command dev runs the whole system on this machine, with demo data and nothing to install but Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/sufrah/usage-bootstrap/internal/demo"
	"github.com/sufrah/usage-bootstrap/internal/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// run serves the stack on PORT (default 8080) until ctx ends. It announces itself on stdout; the functions' log lines go
// to log.
func run(ctx context.Context, lookup func(string) (string, bool), stdout, log io.Writer) error {
	port := 8080
	if value, ok := lookup("PORT"); ok && value != "" {
		var err error
		if port, err = strconv.Atoi(value); err != nil || port < 0 || port > 65535 {
			return fmt.Errorf("PORT is %q: want a number from 0 (any free port) to 65535", value)
		}
	}
	server, err := local.Serve(ctx, "template.yaml", port, log)
	if errors.Is(err, local.ErrPortTaken) {
		return fmt.Errorf("port %d is taken by another program: stop that one, or choose another port with 'make dev PORT=8081'", port)
	}
	if err != nil {
		return err
	}
	announce(stdout, server.BaseURL)
	return server.Wait(ctx)
}

// announce writes requests that can be copied, and then that the stack is ready.
func announce(w io.Writer, baseURL string) {
	fmt.Fprint(w, strings.NewReplacer("$URL", baseURL, "$EXAMPLE", demo.ExampleID, "$PAT", demo.ExampleToken,
		"$ALL", demo.DashboardToken, "$KEY", demo.AdminKey, "$STACK", local.StackName,
		"$PORT", baseURL[strings.LastIndex(baseURL, ":")+1:]).Replace(`
# one restaurant, as its owner
curl -s $URL/api/usage -H 'Authorization: Bearer $PAT' -H 'X-Restaurant-Id: $EXAMPLE'
# any restaurant, as the dashboard's server
curl -s $URL/api/usage -H 'Authorization: Bearer $ALL' -H 'X-Restaurant-Id: demo-001'
# all restaurants, as an administrator
curl -s '$URL/api/usage?limit=3&isActive=true' -H 'X-API-Key: $KEY'
# one restaurant with its history
curl -s $URL/api/usage/$EXAMPLE -H 'X-API-Key: $KEY'
# a new customer, whose menu is prefetched meanwhile; then the menu, from the cache
make message PORT=$PORT FROM=+966500000001 BODY=hello
make message PORT=$PORT FROM=+966500000001 BODY=menu
curl -s $URL/sandbox/jobs
# manage this stack
export SUFRAH_STACK=$STACK AWS_ENDPOINT_URL_DYNAMODB=$URL`+local.DynamoDBPath+` AWS_ENDPOINT_URL_SQS=$URL`+local.SQSPath+`
go run ./internal/cmd/sufrahctl restaurant list --limit 5
# tomorrow; a Sufrah API that fails; and what becomes of a new customer's job then
curl -s -X PUT $URL/sandbox/clock -d '{"offset": "24h"}'
curl -s -X PUT $URL/sandbox/sufrah -d '{"failRate": 1, "status": 503}'
curl -s $URL/sandbox/queues

ready $URL
`))
}
