// Command sufrahctl manages a stack: its restaurants, their bots and limits, and the credentials for its API.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// execute carries out a command line and returns the process's exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if err := run(ctx, args, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "sufrahctl:", err)
		return 1
	}
	return 0
}

// commandLine is the command line, as kong parses it.
type commandLine struct {
	Stack    string `help:"Name of the CloudFormation stack." env:"SUFRAH_STACK" required:""`
	Endpoint string `help:"DynamoDB endpoint, for a local stack." env:"AWS_ENDPOINT_URL_DYNAMODB"`
	SQS      string `name:"sqs-endpoint" help:"SQS endpoint, for a local stack." env:"AWS_ENDPOINT_URL_SQS"`
	JSON     bool   `name:"json" help:"Write JSON, for scripts."`

	Restaurant restaurantCommand `cmd:"" help:"Create, list and switch restaurants; set their bots' limits."`
	Token      tokenCommand      `cmd:"" help:"Issue, list, rotate and revoke personal access tokens."`
	Key        keyCommand        `cmd:"" help:"Issue, list, rotate and revoke administrators' API keys."`
	DLQ        dlqCommand        `cmd:"" name:"dlq" help:"List dead letters, delete them or send them back to the queue."`
	Usage      usageCommand      `cmd:"" help:"Show and top up allowances, show messages and their costs, and rebuild the ranking."`
	Directory  directoryCommand  `cmd:"" help:"Check and repair the restaurant directory."`
	Doctor     doctorCommand     `cmd:"" help:"Check that the stack is complete, and say how to mend each fault."`
	Import     importCommand     `cmd:"" help:"Read restaurants, bots, monthly usage or conversations from a file. See docs/IMPORT.md."`
	Export     exportCommand     `cmd:"" help:"Write restaurants, bots, monthly usage or conversations to a file that import reads."`
}

// session has the state that all commands share.
type session struct {
	ctx         context.Context
	stack       string
	endpoint    string // DynamoDB's URL, empty on AWS
	store       *stackstore.Store
	dynamodb    *dynamodb.Client
	sqs         *sqs.Client // nil on a local stack if no endpoint for queues is given
	credentials *credential.Manager
	now         func() time.Time
	out         printer
	progress    io.Writer
	log         *slog.Logger
	identity    func(context.Context) (string, error) // the operator's name
}

// run carries out a command line. It writes the result to out, and its progress to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var line commandLine
	exited := false
	parser, err := kong.New(&line, kong.Name("sufrahctl"), kong.Description("Manage a Sufrah stack: restaurants and their bots, credentials, allowances, dead letters."),
		kong.Writers(out, out), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(int) { exited = true }), kong.UsageOnError(),
		kong.WithHyphenPrefixedParameters(true), kong.Vars{
			"maxAge": fmt.Sprint(defaultMaxAge.Milliseconds()),
			"perDay": fmt.Sprint(restaurant.DefaultLimits.ConversationsPerDay), "perMinute": fmt.Sprint(restaurant.DefaultLimits.AnswersPerMinute),
		})
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	command, err := parser.Parse(args)
	if exited { // the help was asked for and has been shown
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w (see 'sufrahctl %s')", err, strings.TrimSpace(helpFor(err)+" --help"))
	}
	forDynamoDB, err := awsConfig(ctx, line.Endpoint)
	if err != nil {
		return err
	}
	var queues *sqs.Client
	if line.Endpoint == "" || line.SQS != "" {
		forSQS, err := awsConfig(ctx, line.SQS)
		if err != nil {
			return err
		}
		queues = sqs.NewFromConfig(forSQS)
	}
	tables := dynamodb.NewFromConfig(forDynamoDB)
	store := stackstore.New(tables, schema.StackTables(line.Stack), mathrand.Float64)
	err = command.Run(&session{
		ctx: ctx, stack: line.Stack, store: store, dynamodb: tables, sqs: queues, credentials: credential.NewManager(store, rand.Reader, time.Now), now: time.Now,
		out: printer{w: out, json: line.JSON}, endpoint: line.Endpoint, progress: progress,
		log: logging.New(progress, slog.LevelInfo, "sufrahctl"), identity: func(ctx context.Context) (string, error) {
			if line.Endpoint != "" {
				return "sufrahctl", nil
			}
			return identity(ctx, sts.NewFromConfig(forDynamoDB))
		},
	})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return missingTable(ctx, tables, line.Stack)
	}
	return err
}

// missingTable returns the error for a command that DynamoDB refused because a table is missing. DynamoDB's answer to a
// transaction doesn't name the table, so each table is looked up.
func missingTable(ctx context.Context, tables *dynamodb.Client, stack string) error {
	names := schema.StackTables(stack)
	all := []string{names.Restaurants, names.Bots, names.Usage, names.Conversations, names.AccessTokens, names.Directory}
	var gone []string
	for _, name := range all {
		_, err := tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
			gone = append(gone, name)
		}
	}
	switch len(gone) {
	case len(all):
		return fmt.Errorf("the stack %q has no tables here: check --stack, and the AWS account and region or --endpoint", stack)
	case 0: // the operator may not look up tables, or an index is missing
		return fmt.Errorf("a table of the stack %s is missing: run sufrahctl doctor", stack)
	case 1:
		return fmt.Errorf("table %s is missing: run sufrahctl doctor", gone[0])
	}
	return fmt.Errorf("tables %s are missing: run sufrahctl doctor", strings.Join(gone, ", "))
}

// helpFor returns the command in a command line that can't be parsed, as far as it is known.
func helpFor(err error) string {
	parse, ok := errors.AsType[*kong.ParseError](err)
	if !ok || parse.Context == nil {
		return ""
	}
	var names []string
	for _, part := range parse.Context.Path {
		if part.Command != nil {
			names = append(names, part.Command.Name)
		}
	}
	return strings.Join(names, " ")
}

// awsConfig returns the operator's own AWS configuration (profile, SSO, environment). A local endpoint needs none.
func awsConfig(ctx context.Context, endpoint string) (aws.Config, error) {
	if endpoint != "" {
		local := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
		local.BaseEndpoint = &endpoint
		keepConnections(&local)
		return local, nil
	}
	own, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return own, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if own.Region == "" {
		return own, errors.New("no AWS region: set AWS_REGION, or AWS_PROFILE to a profile with a region; for a local stack, give --endpoint")
	}
	if _, err := own.Credentials.Retrieve(ctx); err != nil {
		return own, fmt.Errorf("no AWS credentials: run aws sso login, or set AWS_PROFILE; for a local stack, give --endpoint: %w", err)
	}
	keepConnections(&own)
	return own, nil
}

// caller is the part of an STS client that identity uses.
type caller interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// identity returns the name in the operator's AWS identity: the user's name, or the name of the role's session. With IAM
// Identity Center, that is the person's name.
func identity(ctx context.Context, client caller) (string, error) {
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	arn := aws.ToString(out.Arn)
	return arn[strings.LastIndexAny(arn, ":/")+1:], nil
}

// keepConnections lets an import reuse its connections; by default only ten of them are kept.
func keepConnections(c *aws.Config) {
	client, ok := c.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return
	}
	c.HTTPClient = client.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost, t.MaxIdleConns = maxConcurrency, 2*maxConcurrency
	})
}
