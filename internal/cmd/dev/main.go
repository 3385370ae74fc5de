// Command dev runs the whole system on this machine, with demo data. It uses stand-ins, which need nothing but Go, or real
// engines. Those it starts at fixed ports (-engines start) or expects there (-engines running).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// cacheDir is the folder in which engines are kept between runs.
const cacheDir = ".cache/engines"

// run serves the stack until ctx ends, at PORT (default 8080) of HOST (default localhost). It counts in USAGE_TIME_ZONE, can
// be called from pages of ALLOWED_ORIGINS (default: any on this machine), and has a cache of CACHE_KIND (default:
// template.yaml's). It announces itself on stdout; the functions' log lines go to log.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), stdout, log io.Writer) error {
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.SetOutput(log)
	on := flags.String("engines", "", `run on engines instead of stand-ins: "start" starts them, "running" uses running ones`)
	if err := flags.Parse(args); err != nil {
		return err
	}
	port := 8080
	if value, ok := lookup("PORT"); ok && value != "" {
		var err error
		if port, err = strconv.Atoi(value); err != nil || port < 0 || port > 65535 {
			return fmt.Errorf("PORT is %q: want a number from 0 (any free port) to 65535", value)
		}
	}
	changes := []func(*devstack.Options){func(o *devstack.Options) {
		if host, _ := lookup("HOST"); host != "" {
			o.Host = host
		}
		o.TimeZone, _ = lookup("USAGE_TIME_ZONE")
		o.MessagePrices, _ = lookup("MESSAGE_PRICES")
		o.AllowedOrigins, _ = lookup("ALLOWED_ORIGINS")
		o.CacheKind, _ = lookup("CACHE_KIND")
	}}
	switch *on {
	case "":
	case "start":
		fmt.Fprintln(stdout, "starting engines; missing ones are downloaded first, which takes about a minute")
		started, err := engines.StartAtPorts(ctx, cacheDir, engines.DynamoDB, engines.SQS, engines.Cache)
		if err != nil {
			return fmt.Errorf("the engines can't be started:\n%w", err)
		}
		defer started.Stop()
		fallthrough
	case "running":
		changes = append(changes, func(o *devstack.Options) {
			o.Engines = &devstack.Engines{
				DynamoDB: engines.DynamoDB.URL(), SQS: engines.SQS.URL(), Cache: engines.Cache.URL(), CachePort: devstack.CachePort,
			}
		})
	default:
		return fmt.Errorf(`-engines is %q: want "start" or "running"`, *on)
	}
	server, err := devstack.Serve(ctx, "template.yaml", port, log, changes...)
	if errors.Is(err, devstack.ErrPortTaken) {
		return fmt.Errorf("port %d is in use: stop the program that uses it, or choose another port, such as 'make dev PORT=8081'", port)
	}
	if err != nil {
		return err
	}
	announce(stdout, server.BaseURL, *on != "")
	return server.Wait(ctx)
}

// onEngines shows requests that reach a stack's engines directly, without the sandbox's faults.
const onEngines = `
# the engines, for a table browser, AWS's command line and others; any credentials and, for DynamoDB, any region do
aws dynamodb scan --table-name $STACK-usage --endpoint-url $DYNAMODB
aws sqs list-queues --endpoint-url $SQS --region $REGION
redis-cli -p $CACHE --scan
# a function in a container, on this stack (docs/ENGINES.md has more)
sam local invoke UsageApiFunction -e events/usage-pat.json --env-vars events/env.json
`

// announce prints requests to copy, and then that the stack is ready.
func announce(w io.Writer, baseURL string, engine bool) {
	more := ""
	if engine {
		more = onEngines
	}
	fmt.Fprint(w, strings.NewReplacer("$URL", baseURL, "$EXAMPLE", demo.ExampleID, "$PAT", demo.ExampleToken,
		"$ALL", demo.DashboardToken, "$KEY", demo.AdminKey, "$STACK", devstack.StackName,
		"$DYNAMODB", engines.DynamoDB.URL(), "$SQS", engines.SQS.URL(), "$CACHE", strconv.Itoa(engines.Cache.Port()),
		"$REGION", devstack.Region, "$PORT", baseURL[strings.LastIndex(baseURL, ":")+1:]).Replace(`
# the dashboard, and a customer's phone: open $URL in a browser
# one restaurant, as its owner
curl -s $URL/api/usage -H 'Authorization: Bearer $PAT' -H 'X-Restaurant-Id: $EXAMPLE'
# any restaurant, as the dashboard's server
curl -s $URL/api/usage -H 'Authorization: Bearer $ALL' -H 'X-Restaurant-Id: demo-001'
# all restaurants, as an administrator
curl -s '$URL/api/usage?limit=3&isActive=true' -H 'X-API-Key: $KEY'
# one restaurant with its history
curl -s $URL/api/usage/$EXAMPLE -H 'X-API-Key: $KEY'
# a new customer; the menu is prefetched meanwhile. Then the menu, from the cache
make message PORT=$PORT FROM=+966500000001 BODY=hello
make message PORT=$PORT FROM=+966500000001 BODY=menu
curl -s $URL/sandbox/jobs
# manage this stack
export SUFRAH_STACK=$STACK AWS_ENDPOINT_URL_DYNAMODB=$URL`+devstack.DynamoDBPath+` AWS_ENDPOINT_URL_SQS=$URL`+devstack.SQSPath+`
export AWS_ENDPOINT_URL_LAMBDA=$URL`+devstack.LambdaPath+`
go run ./internal/cmd/sufrahctl doctor
go run ./internal/cmd/sufrahctl restaurant list --limit 5
# tomorrow; a Sufrah API that fails; and what becomes of a new customer's job then
curl -s -X PUT $URL/sandbox/clock -d '{"offset": "24h"}'
curl -s -X PUT $URL/sandbox/sufrah -d '{"failRate": 1, "status": 503}'
curl -s $URL/sandbox/queues
`+more+`
ready $URL
`))
}
