package devstack

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// CachePort is the port at which people reach the cache of a stack on engines. events/env.json has it too.
const CachePort = 8003

// Engines are servers that store a stack's data in place of the stand-ins: the servers of package engines, or compatible
// ones. They must not yet have tables and queues with the stack's name.
type Engines struct {
	DynamoDB, SQS string // URLs
	Cache         string // host:port
	// CachePort is the port at which functions reach the cache, with the sandbox's faults; 0 means any free port.
	CachePort int
}

// backend stores the data of a stack's functions. It begins with template.yaml's tables and queues, all empty.
type backend struct {
	dynamoDB, sqs service
	cache         *cacheServer
	queues        queueView
	run           func(context.Context) // background work, until the context ends
}

// service is an AWS service or its stand-in.
type service struct {
	http.Handler                   // for the functions, with the sandbox's faults
	transport    http.RoundTripper // for the stack's own requests, without faults
	endpoint     string            // where transport sends them
}

func (s service) config() aws.Config {
	config := awsconfig.New(Region, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = &s.endpoint
	config.HTTPClient = &http.Client{Transport: s.transport}
	return config
}

// newStandIns returns a backend in this process, which follows the stack's clock.
func newStandIns(o Options, tables []sam.Table, queues []sam.Queue, source sam.EventSource) (*backend, error) {
	cache, err := newCacheStandIn()
	if err != nil {
		return nil, err
	}
	dynamoDB := dynamolocal.New(o.Clock.Now, sam.StandIns(tables)...)
	if o.Tables != nil {
		dynamoDB = o.Tables.Clone(o.Clock.Now)
	}
	sqs := sqslocal.New(o.Clock.Now, standInQueues(queues)...)
	o.Clock.OnMove(func(time.Duration) { sqs.Wake() })
	return &backend{
		dynamoDB: service{dynamoDB, dynamoDB.Transport(), "http://" + o.Name},
		sqs:      service{sqs, sqs.Transport(), "http://" + o.Name},
		cache:    cache,
		queues:   standInView{sqs, source.Queue},
		run:      func(ctx context.Context) { cache.age(ctx, o.Clock) },
	}, nil
}

// newOnEngines returns a backend on engines. Engines follow the machine's clock. When the stack's clock is moved ahead, the
// cache's entries are made to expire sooner.
func newOnEngines(ctx context.Context, o Options, tables []sam.Table, queues []sam.Queue, source sam.EventSource) (*backend, error) {
	dynamoDB, err := newEngine(o.Engines.DynamoDB, "dynamodb", toEngines)
	if err != nil {
		return nil, err
	}
	queueServer, err := newEngine(o.Engines.SQS, "sqs", toEngines)
	if err != nil {
		return nil, err
	}
	if err := engines.CreateTables(ctx, dynamodb.NewFromConfig(dynamoDB.config()), tables); err != nil {
		return nil, err
	}
	client := sqs.NewFromConfig(queueServer.config())
	urls, err := engines.CreateQueues(ctx, client, queues)
	if err != nil {
		return nil, err
	}
	cache, err := newCacheRelay(o.Engines.Cache, net.JoinHostPort(cmp.Or(o.Host, "localhost"), strconv.Itoa(o.Engines.CachePort)))
	if err != nil {
		return nil, err
	}
	o.Clock.OnMove(cache.forward)
	return &backend{
		dynamoDB: dynamoDB, sqs: queueServer, cache: cache,
		queues: &engineView{
			client: client, url: urls[source.Queue.Name], deadLetterURL: urls[source.Queue.DeadLetterQueue], received: make(map[string]int),
		},
		run: func(context.Context) {},
	}, nil
}

// toEngines keeps enough connections open for many functions.
var toEngines = &http.Transport{MaxIdleConnsPerHost: 64}

// newEngine returns the service at a URL. Its handler forwards requests with any credentials and for any region, as if they
// were the stack's own.
func newEngine(endpoint, name string, transport http.RoundTripper) (service, error) {
	target, err := url.Parse(endpoint)
	if err != nil {
		return service{}, fmt.Errorf("reading the address of an engine: %w", err)
	}
	authorization := fmt.Sprintf("AWS4-HMAC-SHA256 Credential=local/%s/%s/%s/aws4_request, SignedHeaders=host, Signature=local",
		time.Now().UTC().Format("20060102"), Region, name)
	return service{
		transport: transport, endpoint: endpoint,
		Handler: &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.URL.Path, r.Out.URL.RawPath = "/", "" // whatever the sandbox's path was
				r.Out.Header.Set("Authorization", authorization)
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		},
	}, nil
}
