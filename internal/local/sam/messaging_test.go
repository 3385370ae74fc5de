package sam_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the functions' time zones, which this machine may lack

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

// These tests are about the path of a message: the webhook, the queue and its worker, the cache and the network.

const (
	cacheType         = "AWS::ElastiCache::ServerlessCache"
	cacheUserType     = "AWS::ElastiCache::User"
	egressType        = "AWS::EC2::SecurityGroupEgress"
	permissionType    = "AWS::Lambda::Permission"
	queueType         = "AWS::SQS::Queue"
	queuePolicyType   = "AWS::SQS::QueuePolicy"
	secretType        = "AWS::SecretsManager::Secret"
	securityGroupType = "AWS::EC2::SecurityGroup"
	userGroupType     = "AWS::ElastiCache::UserGroup"
)

// resource returns the resource with a type and a logical id.
func resource(t *testing.T, loaded *sam.Definition, resourceType, logicalID string) sam.Resource {
	t.Helper()
	all := resources(t, loaded, resourceType)
	i := slices.IndexFunc(all, func(r sam.Resource) bool { return r.LogicalID == logicalID })
	if i < 0 {
		t.Fatalf("template.yaml has no %s %s", resourceType, logicalID)
	}
	return all[i]
}

func environment(t *testing.T, loaded *sam.Definition, logicalID string) map[string]string {
	t.Helper()
	variables, err := loaded.FunctionEnvironment(logicalID, stackName)
	if err != nil {
		t.Fatalf("reading the function's environment from the template: %v", err)
	}
	return variables
}

func timeout(t *testing.T, loaded *sam.Definition, logicalID string) time.Duration {
	t.Helper()
	d, err := loaded.FunctionTimeout(logicalID, stackName)
	if err != nil {
		t.Fatalf("reading the function's time-out from the template: %v", err)
	}
	return d
}

func TestQueuesAndTheirConsumers(t *testing.T) {
	t.Parallel()
	loaded := with(t, load(t), "QueueRetryAttempts", "5")
	got, err := loaded.EventSources(stackName)
	if err != nil {
		t.Fatalf("reading the event sources from the template: %v", err)
	}
	want := []sam.EventSource{{
		FunctionID: "WelcomeBootstrapFunction", FunctionTimeout: time.Minute,
		BatchSize: 1, MaximumConcurrency: 5, ReportBatchItemFailures: true,
		Queue: sam.Queue{
			LogicalID: "BootstrapQueue", Name: "sufrah-test-bootstrap",
			VisibilityTimeout: 6 * time.Minute, RetentionPeriod: 4 * 24 * time.Hour,
			DeadLetterQueue: "sufrah-test-bootstrap-dead-letters", MaxReceiveCount: 5,
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the functions' event sources (-want +template.yaml):\n%s", diff)
	}
	for _, source := range got {
		if least := 6 * source.FunctionTimeout; source.Queue.VisibilityTimeout < least {
			t.Errorf("queue %s hides received messages for %s, want %s or more: another worker could get a message that is still being handled", source.Queue.Name, source.Queue.VisibilityTimeout, least)
		}
		attempts := environment(t, loaded, source.FunctionID)["QUEUE_RETRY_ATTEMPTS"]
		if attempts != strconv.Itoa(source.Queue.MaxReceiveCount) {
			t.Errorf("function %s counts on %s attempts, but its queue makes %d before the dead-letter queue", source.FunctionID, attempts, source.Queue.MaxReceiveCount)
		}
	}
}

// TestDeadLettersStay: a message keeps its age when it becomes a dead letter, so the dead-letter queue must keep messages for
// longer.
func TestDeadLettersStay(t *testing.T) {
	t.Parallel()
	queues, err := load(t).Queues(stackName)
	if err != nil {
		t.Fatalf("reading the queues from the template: %v", err)
	}
	byName := map[string]sam.Queue{}
	for _, queue := range queues {
		byName[queue.Name] = queue
	}
	letters := 0
	for _, queue := range queues {
		if queue.DeadLetterQueue == "" {
			continue
		}
		letters++
		dead := byName[queue.DeadLetterQueue]
		if dead.RetentionPeriod != 14*24*time.Hour || dead.RetentionPeriod-queue.RetentionPeriod < 7*24*time.Hour {
			t.Errorf("queue %s keeps messages for %s, but its dead-letter queue %s only for %s: operators would find some of them deleted", queue.Name, queue.RetentionPeriod, dead.Name, dead.RetentionPeriod)
		}
		// The ARN is made of the queue's name: with !GetAtt the two queues would depend on each other.
		want := any(map[string]any{
			"redrivePermission": "byQueue",
			"sourceQueueArns":   []any{"arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:" + queue.Name},
		})
		got := resource(t, load(t), queueType, dead.LogicalID).Property("RedriveAllowPolicy")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("queue %s takes dead letters from other queues than it should (-want +template.yaml):\n%s", dead.Name, diff)
		}
	}
	if letters == 0 {
		t.Error("no queue has a dead-letter queue: failed jobs would be lost")
	}
}

func TestQueuesAreEncryptedAndRefusePlainHTTP(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	type policy struct {
		Queues         []string
		PolicyDocument struct{ Statement []statement }
	}
	policies := map[string]policy{}
	for _, found := range resources(t, loaded, queuePolicyType) {
		var p policy
		if err := found.Decode(&p); err != nil {
			t.Fatalf("reading the resource's properties: %v", err)
		}
		for _, queue := range p.Queues {
			policies[queue] = p
		}
	}
	for _, queue := range resources(t, loaded, queueType) {
		want := []statement{{
			Effect: "Deny", Principal: principal{Anyone: true}, Action: oneOrMore{"sqs:*"},
			Resource:  oneOrMore{"${" + queue.LogicalID + ".Arn}"},
			Condition: condition{"Bool": {"aws:SecureTransport": false}},
		}}
		if diff := cmp.Diff(want, policies["${"+queue.LogicalID+"}"].PolicyDocument.Statement); diff != "" {
			t.Errorf("queue %s can be used without TLS, or by others (-want +template.yaml):\n%s", queue.LogicalID, diff)
		}
		if queue.Property("SqsManagedSseEnabled") != true {
			t.Errorf("queue %s is not encrypted", queue.LogicalID)
		}
	}
	if got := resource(t, loaded, queueType, "BootstrapQueue").Property("ReceiveMessageWaitTimeSeconds"); got != 20 {
		t.Errorf("the worker's receivers poll for %v s, want 20: more polls cost more", got)
	}
}

// TestTimesFit compares template.yaml's time-outs with the times that the code needs.
func TestTimesFit(t *testing.T) {
	t.Parallel()
	const twilioGivesUp = 15 * time.Second
	loaded := load(t)
	webhook := timeout(t, loaded, "ProcessMessageFunction")
	if webhook > twilioGivesUp || webhook >= conversation.AlertLeaseLength || conversation.LeaseLength+2*conversation.ClockSkew >= twilioGivesUp {
		t.Errorf("the webhook may take %s, which must fit into the %s that Twilio waits and into the alert lease; replies' leases last for %s, alerts' for %s",
			webhook, twilioGivesUp, conversation.LeaseLength, conversation.AlertLeaseLength)
	}
	const settling = 3 * time.Second // the time that internal/lambdasqs leaves at the end
	sources, err := loaded.EventSources(stackName)
	if err != nil || len(sources) != 1 {
		t.Fatalf("the event sources are %v (error %v), want one", sources, err)
	}
	longest := 2*(cache.DefaultLockFor+bootstrap.CallTime) + bootstrap.MaxSleep + settling
	if worker := timeout(t, loaded, "WelcomeBootstrapFunction"); worker < longest {
		t.Errorf("the worker may take %s, but a job takes up to %s: Lambda would end it", worker, longest)
	}
}

// webhookIntegration is the integration of the webhook's route in the API's definition.
type webhookIntegration struct {
	DefinitionBody struct {
		Paths map[string]map[string]struct {
			Integration struct{ Type, HTTPMethod, PayloadFormatVersion, URI string } `json:"x-amazon-apigateway-integration"`
		}
	}
	RouteSettings map[string]map[string]int
}

func TestWebhookIsReachable(t *testing.T) {
	t.Parallel()
	const (
		path, status = "/webhooks/whatsapp", "/webhooks/whatsapp/status"
		here         = ":${AWS::Region}:${AWS::AccountId}:"
	)
	loaded := load(t)
	name := resource(t, loaded, functionType, "ProcessMessageFunction").Property("FunctionName")
	if name != "sufrah-test-process-message" {
		t.Fatalf("the webhook's function is called %v, want sufrah-test-process-message, as in the API's definition", name)
	}
	var api webhookIntegration
	if err := resource(t, loaded, httpAPIType, "HttpApi").Decode(&api); err != nil {
		t.Fatalf("reading the resource's properties: %v", err)
	}
	if routes := slices.Sorted(maps.Keys(api.DefinitionBody.Paths)); !slices.Equal(routes, []string{path, status}) {
		t.Errorf("the API's definition has the routes %q, want those of messages and statuses", routes)
	}
	integration := api.DefinitionBody.Paths[path]["x-amazon-apigateway-any-method"].Integration
	if other := api.DefinitionBody.Paths[status]["x-amazon-apigateway-any-method"].Integration; other != integration {
		t.Errorf("status callbacks go to %+v, but messages to %+v: want the same function", other, integration)
	}
	function := "arn:${AWS::Partition}:lambda" + here + "function:sufrah-test-process-message:live"
	invoke := "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/" + function + "/invocations"
	if integration.Type != "aws_proxy" || integration.HTTPMethod != "POST" || integration.PayloadFormatVersion != "2.0" ||
		integration.URI != invoke {
		t.Errorf("the webhook's route leads to %+v, want the alias live of its function", integration)
	}
	for _, route := range []string{path, status} {
		if limits := api.RouteSettings["ANY "+route]; limits["ThrottlingRateLimit"] < 100 || limits["ThrottlingBurstLimit"] < 100 {
			t.Errorf("route %s has the limits %v, want 100 requests a second or more: customers' messages would be refused", route, limits)
		}
	}
	permissions := resources(t, loaded, permissionType)
	want := map[string]any{
		"Action": "lambda:InvokeFunction", "FunctionName": "${ProcessMessageFunction.Alias}", "Principal": "apigateway.amazonaws.com",
		"SourceArn": "arn:${AWS::Partition}:execute-api" + here + "${HttpApi}/*/*" + path + "*",
	}
	if diff := cmp.Diff(any(want), permissions[0].Property()); diff != "" || len(permissions) != 1 {
		t.Errorf("API Gateway has %d permissions to call functions, want one, for the webhook's routes (-want +template.yaml):\n%s", len(permissions), diff)
	}
}

func TestWebhookURL(t *testing.T) {
	t.Parallel()
	const own = "https://sufrah.example/v1/webhooks/whatsapp"
	loaded := load(t)
	for want, given := range map[string]*sam.Definition{
		"${HttpApi.ApiEndpoint}/webhooks/whatsapp": loaded, own: with(t, with(t, loaded, "DomainName", "api.example"), "WebhookUrl", own),
		"https://api.example/webhooks/whatsapp":    with(t, loaded, "DomainName", "api.example"),
		"https://api.example/v1/webhooks/whatsapp": with(t, with(t, loaded, "DomainName", "api.example"), "BasePath", "/v1"),
	} {
		if got := environment(t, given, "ProcessMessageFunction")["WEBHOOK_URL"]; got != want {
			t.Errorf("the webhook checks signatures for the URL %s, want %s: it would refuse every message", got, want)
		}
	}
}

// deployed replaces symbolic values by plausible ones.
var deployed = strings.NewReplacer(
	"${BootstrapQueue}", "https://sqs.eu-central-1.amazonaws.com/000000000000/sufrah-test-bootstrap",
	"${BootstrapDeadLetterQueue}", "https://sqs.eu-central-1.amazonaws.com/000000000000/sufrah-test-dead",
	"${Cache.Endpoint.Address}", "sufrah-test-cache.serverless.euc1.cache.amazonaws.com",
	"${Cache.Endpoint.Port}", "6379",
	"${HttpApi.ApiEndpoint}", "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
	"${SufrahSecret}", "arn:aws:secretsmanager:eu-central-1:000000000000:secret:sufrah-test/sufrah-AbCdEf",
	"${TwilioSecret}", "arn:aws:secretsmanager:eu-central-1:000000000000:secret:sufrah-test/twilio-AbCdEf",
)

// localOnly has the variables that the code reads but template.yaml doesn't set, because a deployed function must not have
// them, doesn't need them, or gets them from Lambda.
var localOnly = []string{
	"AWS_ACCESS_KEY_ID", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "AWS_SAM_LOCAL", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_XRAY_DAEMON_ADDRESS", "SUFRAH_API_KEY", "TWILIO_AUTH_TOKEN",
}

// TestFunctionsAreToldWhatTheyRead: each function's code accepts template.yaml's variables, reads all of them, and needs no
// others.
func TestFunctionsAreToldWhatTheyRead(t *testing.T) {
	t.Parallel()
	loaders := map[string]func(config.Environment) (any, error){
		"UsageApiFunction":         func(given config.Environment) (any, error) { return config.LoadUsageAPI(given) },
		"UsageAdminFunction":       func(given config.Environment) (any, error) { return config.LoadUsageAdmin(given) },
		"ProcessMessageFunction":   func(given config.Environment) (any, error) { return config.LoadProcessMessage(given) },
		"WelcomeBootstrapFunction": func(given config.Environment) (any, error) { return config.LoadWelcomeBootstrap(given) },
	}
	loaded := load(t)
	for _, function := range resources(t, loaded, functionType) {
		load, ok := loaders[function.LogicalID]
		if !ok {
			t.Fatalf("the test has no configuration of function %s: add it", function.LogicalID)
		}
		environ := slices.Clone(fromLambda)
		told := map[string]bool{}
		for name, value := range environment(t, loaded, function.LogicalID) {
			environ = append(environ, name+"="+deployed.Replace(value))
			told[name] = true
		}
		whole, err := load(environ)
		if err != nil {
			t.Errorf("function %s doesn't accept the variables of template.yaml: %v", function.LogicalID, err)
		}
		read := map[string]bool{}
		for _, name := range slices.Concat(configured(t), slices.Collect(maps.Keys(told))) {
			// A variable is read if another value of it changes the configuration or is a fault.
			other, err := load(append(config.Environment{name + "=" + config.Environment(environ).Get(name) + "?"}, environ...))
			if err != nil || !reflect.DeepEqual(other, whole) {
				read[name] = true
			}
		}
		for _, name := range localOnly {
			delete(read, name)
		}
		delete(told, "RELEASE") // no code reads it; it only makes a new version
		if diff := cmp.Diff(read, told); diff != "" {
			t.Errorf("function %s reads other variables than template.yaml sets (-reads +set):\n%s", function.LogicalID, diff)
		}
	}
}

// fromLambda are the variables that Lambda itself sets.
var fromLambda = []string{"AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=key"}

// configured returns the names of all variables that package config knows.
func configured(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../../config/*.go")
	if err != nil {
		t.Fatalf("listing the files of package config: %v", err)
	}
	var names []string
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("reading a file of package config: %v", err)
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, match := range variableName.FindAllSubmatch(source, -1) {
			names = append(names, string(match[1]))
		}
	}
	if len(names) < 20 {
		t.Fatalf("found only the variables %v in package config: the test proves nothing", names)
	}
	return names
}

var variableName = regexp.MustCompile(`"([A-Z][A-Z0-9]*_[A-Z0-9_]+)"`)

// endpointPrefix is the prefix of the variables that send a service's requests to another address.
const endpointPrefix = "AWS_ENDPOINT_URL_"

// TestNothingLocalIsDeployed: the variables that lead a function to a local stack are empty. They exist so that `sam local`
// can set them.
func TestNothingLocalIsDeployed(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	for function, want := range map[string][]string{
		"UsageApiFunction":         {"AWS_ENDPOINT_URL_DYNAMODB"},
		"ProcessMessageFunction":   {"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETSMANAGER", "AWS_ENDPOINT_URL_SQS", "TWILIO_API_BASE", "TWILIO_CONTENT_API_BASE"},
		"WelcomeBootstrapFunction": {"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETSMANAGER", "AWS_ENDPOINT_URL_SQS", "TWILIO_CONTENT_API_BASE"},
	} {
		var got []string
		for name, value := range environment(t, loaded, function) {
			if strings.HasPrefix(name, endpointPrefix) || name == "TWILIO_API_BASE" || name == "TWILIO_CONTENT_API_BASE" {
				got = append(got, name+value)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("function %s gets other values of its variables (-want +template.yaml):\n%s", function, diff)
		}
	}
}

// TestTemplateSIDs: both functions know every content template in the parameter, so that a new template needs no change of
// template.yaml.
func TestTemplateSIDs(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	var list []string
	for i, key := range []string{
		conversation.TemplateWelcome, conversation.TemplateCategories, conversation.TemplateBranches, "a_new_one",
	} {
		want[key] = fmt.Sprintf("HX%032d", i)
		list = append(list, strings.ToUpper(key)+"="+want[key])
	}
	loaded := with(t, load(t), "ContentSids", strings.Join(list, ","))
	for _, function := range []string{"ProcessMessageFunction", "WelcomeBootstrapFunction"} {
		var environ []string
		for name, value := range environment(t, loaded, function) {
			environ = append(environ, name+"="+value)
		}
		got, err := cache.ParseTemplateSIDs(environ)
		if err != nil {
			t.Fatalf("reading the template SIDs: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("function %s gets other template SIDs than were given (-want +template.yaml):\n%s", function, diff)
		}
	}
}

func TestSecretsAreNoVariables(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	suspicious := regexp.MustCompile("TOKEN|KEY|PASSWORD|SECRET")
	for _, function := range resources(t, loaded, functionType) {
		for name, value := range environment(t, loaded, function.LogicalID) {
			reference := strings.HasSuffix(name, "_SECRET_ARN") && strings.HasPrefix(value, "${")
			if suspicious.MatchString(name) && value != "" && !reference && !strings.HasSuffix(name, "_TABLE") {
				t.Errorf("function %s has the variable %s, which looks like a secret: anyone who may see the function's settings would see it", function.LogicalID, name)
			}
		}
	}
}

// TestSecretsSurvive: secrets are created empty, because template.yaml is no place for their values. They stay when the stack
// is deleted.
func TestSecretsSurvive(t *testing.T) {
	t.Parallel()
	want := map[string]string{"TwilioSecret": `{}`, "SufrahSecret": `{"apiKey": ""}`}
	for _, secret := range resources(t, load(t), secretType) {
		if got := secret.Property("SecretString"); got != want[secret.LogicalID] {
			t.Errorf("the secret %s is created with %v, want %s", secret.LogicalID, got, want[secret.LogicalID])
		}
		deletion, replacement := secret.Attribute("DeletionPolicy"), secret.Attribute("UpdateReplacePolicy")
		if deletion != "RetainExceptOnCreate" || replacement != "Retain" {
			t.Errorf("the secret %s has the policies %v and %v: deleting the stack would delete it", secret.LogicalID, deletion, replacement)
		}
		// Secrets Manager appends a hyphen and six characters. It doesn't find a secret by a part of its ARN that ends like
		// that.
		name, _ := secret.Property("Name").(string)
		if !strings.HasPrefix(name, stackName+"/") || regexp.MustCompile("-[A-Za-z0-9]{6}$").MatchString(name) {
			t.Errorf("the secret %s is called %q, which must begin with the stack's name and not end like an ARN's suffix", secret.LogicalID, name)
		}
	}
}

// TestCacheIsForTheFunctionsOnly: the functions sign in with IAM, and can use only the project's keys.
func TestCacheIsForTheFunctionsOnly(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	caches, groups := resources(t, loaded, cacheType), resources(t, loaded, userGroupType)
	users := resources(t, loaded, cacheUserType)
	if len(caches) != 1 || len(users) != 1 || len(groups) != 1 {
		t.Fatalf("there are %d caches, %d users and %d groups, want one of each", len(caches), len(users), len(groups))
	}
	for what, pair := range map[string][2]any{
		"engine":              {"valkey", caches[0].Property("Engine")},
		"group":               {"sufrah-test-functions", caches[0].Property("UserGroupId")},
		"group's engine":      {"valkey", groups[0].Property("Engine")}, // Valkey, which lets nobody in without a password or IAM
		"group's id":          {"sufrah-test-functions", groups[0].Property("UserGroupId")},
		"group's users":       {[]any{"sufrah-test-functions"}, groups[0].Property("UserIds")},
		"user's id":           {"sufrah-test-functions", users[0].Property("UserId")},
		"user's name":         {"sufrah-test-functions", users[0].Property("UserName")}, // must equal the user's id for IAM
		"user authenticates":  {map[string]any{"Type": "iam"}, users[0].Property("AuthenticationMode")},
		"user's password":     {nil, users[0].Property("Passwords")},
		"user needs no proof": {nil, users[0].Property("NoPasswordRequired")},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("the cache's %s is wrong (-want +template.yaml):\n%s", what, diff)
		}
	}
	prefix, _, _ := strings.Cut(cache.Key("merchant", "part"), ":")
	access, _ := users[0].Property("AccessString").(string)
	for i, rule := range strings.Fields(access) {
		if rule[0] == '~' && rule != "~"+prefix+":*" || i == 2 && rule != "-@all" || rule == "+@all" {
			t.Errorf("the cache's user may %s: want the project's keys and single commands only", access)
		}
	}
	// Scripts run with the user's permissions: ACL rules hold for the commands in them too (Valkey, "ACL").
	for _, file := range []string{"circuit.go", "startlog.go", "valkey.go"} {
		for _, call := range regexp.MustCompile(`redis\.call\('([A-Z]+)'`).FindAllStringSubmatch(readRoot(t, "internal/valkey/"+file), -1) {
			if !slices.Contains(strings.Fields(access), "+"+strings.ToLower(call[1])) {
				t.Errorf("a script in %s calls %s, which the cache's user may not: the functions would fail", file, call[1])
			}
		}
	}
	for _, function := range []string{"ProcessMessageFunction", "WelcomeBootstrapFunction"} {
		variables := environment(t, loaded, function)
		if variables["CACHE_USER"] != "sufrah-test-functions" || variables["CACHE_NAME"] != "sufrah-test-cache" {
			t.Errorf("function %s signs in as %s at the cache %s, which are not template.yaml's", function, variables["CACHE_USER"], variables["CACHE_NAME"])
		}
	}
}

// TestNetwork: the cache and the functions that use it are in a VPC, template.yaml's own or an existing one. The usage API is
// in none.
func TestNetwork(t *testing.T) {
	t.Parallel()
	own := load(t)
	existing := with(t, with(t, own, "VpcId", "vpc-0a"), "SubnetIds", "subnet-0a,subnet-1b,subnet-2c")
	cases := map[string]struct {
		loaded  *sam.Definition
		vpc     string
		subnets []any
	}{
		"own":      {own, "${Vpc}", []any{"${PrivateSubnetA}", "${PrivateSubnetB}"}},
		"existing": {existing, "vpc-0a", []any{"subnet-0a", "subnet-1b", "subnet-2c"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inside := any(map[string]any{"SecurityGroupIds": []any{"${FunctionSecurityGroup}"}, "SubnetIds": c.subnets})
			for function, want := range map[string]any{
				"UsageApiFunction": nil, "ProcessMessageFunction": inside, "WelcomeBootstrapFunction": inside,
			} {
				got := resource(t, c.loaded, functionType, function).Property("VpcConfig")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("function %s is in the wrong network (-want +template.yaml):\n%s", function, diff)
				}
			}
			cache := resource(t, c.loaded, cacheType, "Cache")
			if diff := cmp.Diff(any(c.subnets), cache.Property("SubnetIds")); diff != "" {
				t.Errorf("the cache is in the wrong subnets (-want +template.yaml):\n%s", diff)
			}
			if diff := cmp.Diff(any([]any{"${CacheSecurityGroup}"}), cache.Property("SecurityGroupIds")); diff != "" {
				t.Errorf("the cache is in the wrong security groups (-want +template.yaml):\n%s", diff)
			}
			for _, group := range resources(t, c.loaded, securityGroupType) {
				if got := group.Property("VpcId"); got != c.vpc {
					t.Errorf("security group %s is in the VPC %v, want %s", group.LogicalID, got, c.vpc)
				}
			}
		})
	}
	for _, resourceType := range []string{
		"AWS::EC2::VPC", "AWS::EC2::EIP", "AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route",
		"AWS::EC2::RouteTable", "AWS::EC2::Subnet", "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPCEndpoint",
		"AWS::EC2::VPCGatewayAttachment",
	} {
		resources(t, own, resourceType)
		if made, err := existing.Resources(resourceType, stackName); err != nil || len(made) > 0 {
			t.Errorf("beside an existing network the stack makes %d of type %s (error %v), want none", len(made), resourceType, err)
		}
	}
}

// TestCacheInATable: with the cache in a table, the stack has the table that cachetest uses, and neither ElastiCache nor a
// network.
func TestCacheInATable(t *testing.T) {
	t.Parallel()
	loaded := with(t, load(t), "CacheKind", "dynamodb")
	tables, err := loaded.Tables(stackName)
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	var got []dynamolocal.Table
	for _, table := range sam.StandIns(tables) {
		if table.Name == stackName+"-cache" {
			table.Name = cachetest.Definition.Name
			got = append(got, table)
		}
	}
	if diff := cmp.Diff([]dynamolocal.Table{cachetest.Definition}, got); diff != "" {
		t.Errorf("the cache's table is not the one that the cache's tests use (-want +template.yaml):\n%s", diff)
	}
	for _, of := range []string{cacheType, cacheUserType, userGroupType, securityGroupType, "AWS::EC2::VPC", "AWS::EC2::NatGateway", "AWS::EC2::EIP"} {
		if made, err := loaded.Resources(of, stackName); err != nil || len(made) > 0 {
			t.Errorf("with the cache in a table the stack still makes %d of type %s (error %v), want none", len(made), of, err)
		}
	}
	for _, function := range []string{"ProcessMessageFunction", "WelcomeBootstrapFunction"} {
		if inside := resource(t, loaded, functionType, function).Property("VpcConfig"); inside != nil {
			t.Errorf("with the cache in a table, function %s is still in a network: %v", function, inside)
		}
		variables := environment(t, loaded, function)
		got := map[string]string{}
		for _, name := range []string{"CACHE_TABLE", "CACHE_ENDPOINT", "CACHE_USER", "CACHE_NAME"} {
			got[name] = variables[name]
		}
		want := map[string]string{"CACHE_TABLE": stackName + "-cache", "CACHE_ENDPOINT": "", "CACHE_USER": "", "CACHE_NAME": ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with the cache in a table, function %s has other variables (-want +template.yaml):\n%s", function, diff)
		}
		if table := environment(t, load(t), function)["CACHE_TABLE"]; table != "" {
			t.Errorf("function %s has the cache table %s although the cache is ElastiCache", function, table)
		}
	}
}

// TestSecurityGroupsOpenNothingElse lists every rule of every security group.
func TestSecurityGroupsOpenNothingElse(t *testing.T) {
	t.Parallel()
	type rule struct {
		From, To, Protocol string
		FirstPort, Last    int
	}
	read := func(properties any) (r rule) {
		mapping, _ := properties.(map[string]any)
		for _, from := range []string{"SourceSecurityGroupId", "GroupId"} {
			if group, ok := mapping[from].(string); ok {
				r.From = group
			}
		}
		for _, to := range []string{"CidrIp", "DestinationSecurityGroupId"} {
			if target, ok := mapping[to].(string); ok {
				r.To = target
			}
		}
		r.Protocol, _ = mapping["IpProtocol"].(string)
		r.FirstPort, _ = mapping["FromPort"].(int)
		r.Last, _ = mapping["ToPort"].(int)
		return r
	}
	loaded := load(t)
	var got []rule
	for _, group := range resources(t, loaded, securityGroupType) {
		ingress, _ := group.Property("SecurityGroupIngress").([]any)
		for _, properties := range ingress {
			r := read(properties)
			r.To = "${" + group.LogicalID + "}"
			got = append(got, r)
		}
		egress, _ := group.Property("SecurityGroupEgress").([]any)
		for _, properties := range egress {
			r := read(properties)
			r.From = "${" + group.LogicalID + "}"
			got = append(got, r)
		}
	}
	for _, egress := range resources(t, loaded, egressType) {
		got = append(got, read(egress.Property()))
	}
	want := []rule{
		{"${FunctionSecurityGroup}", "${CacheSecurityGroup}", "tcp", 6379, 6380},
		{"${CacheSecurityGroup}", "127.0.0.1/32", "tcp", 1, 1},
		{"${FunctionSecurityGroup}", "0.0.0.0/0", "tcp", 443, 443},
		{"${FunctionSecurityGroup}", "${CacheSecurityGroup}", "tcp", 6379, 6380},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the security groups allow more or less than they should (-want +template.yaml):\n%s", diff)
	}
}
