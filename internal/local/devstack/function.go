package devstack

import (
	"errors"
	"path/filepath"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/apigateway"
	"github.com/sufrah/usage-bootstrap/internal/local/eventsource"
	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

// handlers are the entry points of a stack's functions.
type handlers struct {
	usageAPI, usageAdmin, processMessage apigateway.Invoke
	welcomeBootstrap                     eventsource.Invoke
}

// assembled builds the functions in this process, with the stack's clock.
func (s *Stack) assembled() (h handlers, err error) {
	usageAPI, err1 := build(s, usageapi.Name, usageapi.New)
	usageAdmin, err2 := build(s, usageadmin.Name, usageadmin.New)
	processMessage, err3 := build(s, processmessage.Name, processmessage.New)
	welcomeBootstrap, err4 := build(s, welcomebootstrap.Name, welcomebootstrap.New)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return h, err
	}
	return handlers{
		named(usageAPI), named(usageAdmin), named(processMessage), named(welcomeBootstrap),
	}, nil
}

// build builds a function in this process, with the stack's clock.
func build[H any](s *Stack, name string, build function.Build[H]) (handler H, err error) {
	environ, err := s.FunctionEnvironment(name)
	if err != nil {
		return handler, err
	}
	return build(environ, s.Clock.Now, s.Log)
}

// compiled starts the functions as processes of their own, which use the machine's clock.
func (s *Stack) compiled() (h handlers, err error) {
	s.pools = make(map[string]*lambdalocal.Pool)
	for _, name := range []string{usageapi.Name, usageadmin.Name, processmessage.Name, welcomebootstrap.Name} {
		environ, err := s.FunctionEnvironment(name)
		if err != nil {
			return h, err
		}
		timeout, err := s.Definition.FunctionTimeout(logicalID(name), s.Name)
		if err != nil {
			return h, err
		}
		s.pools[name] = lambdalocal.NewPool(lambdalocal.Function{
			Path: filepath.Join(s.Binaries, name, "bootstrap"), Env: environ, Timeout: timeout, Stdout: s.Log,
		})
	}
	type (
		request  = events.APIGatewayV2HTTPRequest
		response = events.APIGatewayV2HTTPResponse
	)
	return handlers{
		lambdalocal.Handler[request, response](s.pools[usageapi.Name]),
		lambdalocal.Handler[request, response](s.pools[usageadmin.Name]),
		lambdalocal.Handler[request, response](s.pools[processmessage.Name]),
		lambdalocal.Handler[events.SQSEvent, events.SQSEventResponse](s.pools[welcomebootstrap.Name]),
	}, nil
}

// Kill ends all processes of a compiled function at once, like a crash, and returns their number. The function's next event
// starts a new process.
func (s *Stack) Kill(function string) int {
	if pool := s.pools[function]; pool != nil {
		return pool.Kill()
	}
	return 0
}

// KillOne kills a random process of a compiled function. It reports whether there was a process.
func (s *Stack) KillOne(function string) bool {
	pool := s.pools[function]
	return pool != nil && pool.KillOne()
}
