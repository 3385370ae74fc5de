package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
)

// Twilio has Twilio's addresses and the account. Exactly one of SecretARN and AuthToken is set.
type Twilio struct {
	AccountSID     string // Sufrah's own account
	SecretARN      string // secret with the auth tokens of all accounts
	AuthToken      string // auth token of Sufrah's own account, in a local stack
	APIBase        string // only of functions that send messages
	ContentAPIBase string
}

// Sufrah has the Sufrah API's address and key. Exactly one of SecretARN and APIKey is set.
type Sufrah struct {
	APIBase   string
	SecretARN string // secret with the key
	APIKey    string
	CacheTTL  time.Duration // how long an answer is fresh
}

// Cache has the address of the cache. Exactly one of Endpoint and Table is set; the remaining fields belong to Endpoint. User
// and Name are the user's and the cache's names for IAM; if both are empty, the cache needs no password.
type Cache struct {
	Table    string // name of a DynamoDB table
	Endpoint string // host:port of a server that speaks Valkey's protocol
	TLS      bool
	Cluster  bool
	User     string
	Name     string
}

// AWS has a function's region, credentials and endpoints. Lambda sets the region and the credentials. An endpoint is the
// address of a stand-in; "" means AWS's own.
type AWS struct {
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	DynamoDB        string
	SQS             string
	SecretsManager  string
	XRayDaemon      string // host:port; "" if there is none
}

// aws returns the function's region and credentials. The functions that call a service read its endpoint themselves.
func (e *environment) aws() AWS {
	return AWS{
		Region:          e.required("AWS_REGION"),
		AccessKeyID:     e.required("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: e.required("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    e.optional("AWS_SESSION_TOKEN", ""),
		XRayDaemon:      e.optional("AWS_XRAY_DAEMON_ADDRESS", ""),
	}
}

func (e *environment) dynamoDB() string       { return e.endpoint("AWS_ENDPOINT_URL_DYNAMODB") }
func (e *environment) sqs() string            { return e.endpoint("AWS_ENDPOINT_URL_SQS") }
func (e *environment) secretsManager() string { return e.endpoint("AWS_ENDPOINT_URL_SECRETSMANAGER") }

// endpoint returns a service's URL, or "".
func (e *environment) endpoint(name string) string {
	if e.optional(name, "") == "" {
		return ""
	}
	return e.serviceURL(name, "")
}

func (e *environment) twilio(local bool) Twilio {
	t := Twilio{
		AccountSID:     e.required("TWILIO_ACCOUNT_SID"),
		ContentAPIBase: e.serviceURL("TWILIO_CONTENT_API_BASE", "https://content.twilio.com"),
	}
	if t.AccountSID != "" && !validAccountSID(t.AccountSID) {
		e.fault("TWILIO_ACCOUNT_SID", "must be an account's SID: AC and 32 hexadecimal digits")
	}
	t.SecretARN, t.AuthToken = e.secret("TWILIO_SECRET_ARN", "TWILIO_AUTH_TOKEN")
	if t.AuthToken != "" && !local {
		e.fault("TWILIO_AUTH_TOKEN", "is for local stacks only: a deployed one takes TWILIO_SECRET_ARN")
	}
	return t
}

func (e *environment) sufrah() Sufrah {
	s := Sufrah{
		APIBase:  e.serviceURL("SUFRAH_API_BASE", "https://api.sufrah.sa/api/v1/external"),
		CacheTTL: e.milliseconds("SUFRAH_CACHE_TTL_MS", 3*time.Minute, time.Millisecond, 24*time.Hour),
	}
	s.SecretARN, s.APIKey = e.secret("SUFRAH_SECRET_ARN", "SUFRAH_API_KEY")
	return s
}

func (e *environment) cache() Cache {
	c := Cache{
		Table:    e.optional("CACHE_TABLE", ""),
		Endpoint: e.optional("CACHE_ENDPOINT", ""),
		TLS:      e.boolean("CACHE_TLS", true),
		Cluster:  e.boolean("CACHE_CLUSTER", true),
		User:     e.optional("CACHE_USER", ""),
		Name:     e.optional("CACHE_NAME", ""),
	}
	switch {
	case c.Endpoint == "" && c.Table == "":
		e.fault("CACHE_ENDPOINT", "is missing, and CACHE_TABLE too: one of them says where the cache is")
	case c.Endpoint != "" && c.Table != "":
		e.fault("CACHE_TABLE", "must not be set together with CACHE_ENDPOINT")
	}
	host, port, err := net.SplitHostPort(c.Endpoint)
	if c.Endpoint != "" && (err != nil || host == "" || port == "") {
		e.fault("CACHE_ENDPOINT", "must be host:port")
	} else if c.Endpoint != "" && !c.TLS && !e.localHost(host) {
		e.fault("CACHE_TLS", "must be true: only a cache on this machine is reached without TLS")
	}
	switch {
	case c.User == "" && c.Name != "":
		e.fault("CACHE_USER", "is missing, while CACHE_NAME is set")
	case c.Name == "" && c.User != "":
		e.fault("CACHE_NAME", "is missing, while CACHE_USER is set")
	case c.User != "" && !c.TLS:
		e.fault("CACHE_TLS", "must be true where CACHE_USER is set")
	}
	return c
}

func validAccountSID(sid string) bool {
	digits, ok := strings.CutPrefix(sid, "AC")
	return ok && len(digits) == 32 && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}

// validSecretARN reports whether arn has the form arn:aws:secretsmanager:<region>:<account>:secret:<name>.
func validSecretARN(arn string) bool {
	parts := strings.Split(arn, ":")
	return len(parts) == 7 && !slices.Contains(parts, "") && !strings.ContainsAny(arn, " \t\r\n") &&
		parts[0] == "arn" && parts[2] == "secretsmanager" && parts[5] == "secret"
}

// secret returns a secret's ARN, or its value in plain. Exactly one of the variables must be set.
func (e *environment) secret(arnVariable, plainVariable string) (arn, plain string) {
	arn, plain = e.optional(arnVariable, ""), e.optional(plainVariable, "")
	switch {
	case arn == "" && plain == "":
		e.fault(arnVariable, "is missing")
	case arn != "" && plain != "":
		e.fault(plainVariable, "must not be set together with "+arnVariable)
	case arn != "" && !validSecretARN(arn):
		e.fault(arnVariable, "must be the ARN of a secret in Secrets Manager")
	}
	return arn, plain
}

// serviceURL returns an absolute URL without credentials, query or fragment. It must use TLS unless the host is this machine.
func (e *environment) serviceURL(name, fallback string) string {
	value := e.optional(name, fallback)
	if value == "" {
		e.fault(name, "is missing")
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#") ||
		u.Scheme != "https" && (u.Scheme != "http" || !e.localHost(u.Hostname())) {
		e.fault(name, "must be an https URL without credentials, query and fragment; http only on this machine")
		return ""
	}
	return value
}

// localHost reports whether a host is this machine. In a container of `sam local`, every host may be.
func (e *environment) localHost(host string) bool {
	if e.samLocal() || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// samLocal reports whether the function runs under `sam local`, which sets the variable; Lambda never does.
func (e *environment) samLocal() bool { return e.optional("AWS_SAM_LOCAL", "") == "true" }

func (e *environment) boolean(name string, fallback bool) bool {
	switch e.optional(name, "") {
	case "":
		return fallback
	case "true":
		return true
	case "false":
		return false
	}
	e.fault(name, "must be true or false")
	return fallback
}

func (e *environment) milliseconds(name string, fallback, least, most time.Duration) time.Duration {
	return time.Duration(e.integer(name, fallback.Milliseconds(), least.Milliseconds(), most.Milliseconds())) * time.Millisecond
}

// templateSIDs returns the SIDs of content templates by key, from all variables that begin with CONTENT_SID.
func (e *environment) templateSIDs() map[string]string {
	sids, err := cache.ParseTemplateSIDs(e.given)
	if err != nil {
		e.faults = append(e.faults, err)
	}
	return sids
}
