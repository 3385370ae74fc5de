// Command message writes to a restaurant of a local stack like a customer on WhatsApp: it posts a webhook with Twilio's
// signature, and shows the messages that the customer gets in reply.
//
//	go run ./internal/cmd/message -from +966500000001 -body hello
//
// It exits with status 1 unless the webhook answers with 200.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/customer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "message:", err)
		os.Exit(1)
	}
}

// errRefused says that the webhook didn't answer with 200. Its answer has been printed.
var errRefused = errors.New("the webhook did not accept the message")

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	s := stack{url: o.url, token: o.token, client: &http.Client{Timeout: requestTimeout}}
	r, err := s.deliver(ctx, o.form(), o.wait)
	if err != nil {
		return err
	}
	write := r.writeText
	if o.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		return fmt.Errorf("printing the answer: %w", err)
	}
	if r.Status != http.StatusOK {
		return errRefused
	}
	return nil
}

type options struct {
	url, token                                                string
	from, userID, to, body, button, list, optOut, id, profile string
	wait                                                      time.Duration
	json                                                      bool
}

// The values of a local stack.
const (
	defaultURL   = "http://localhost:8080"
	defaultToken = "local-twilio-token"
	defaultTo    = "+966110000000"
)

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("message", flag.ContinueOnError)
	flags.StringVar(&o.url, "url", defaultURL, "address of the local stack")
	flags.StringVar(&o.token, "token", defaultToken, "auth token for the message's signature")
	flags.StringVar(&o.from, "from", "", "customer's number, such as +966500000001, or user id, such as SA.13491208655302741918")
	flags.StringVar(&o.userID, "user-id", "", "customer's user id, sent together with the number, such as SA.13491208655302741918")
	flags.StringVar(&o.to, "to", "", "restaurant's number (default: the example restaurant's, "+defaultTo+")")
	flags.StringVar(&o.body, "body", "", "text of the message")
	flags.StringVar(&o.button, "button", "", "payload of the button that the customer pressed, such as browse_menu")
	flags.StringVar(&o.list, "list", "", "id of the list's row that the customer tapped, as printed behind LIST=; give the row's title as -body")
	flags.StringVar(&o.optOut, "opt-out", "", "keyword that Twilio found in the text: STOP, START or HELP")
	flags.StringVar(&o.id, "id", "", "id of the message; an id that was used before makes a repeat (default: a new id)")
	flags.StringVar(&o.profile, "profile", "", "customer's name")
	flags.DurationVar(&o.wait, "wait", time.Second, "time to wait for messages to the customer")
	flags.BoolVar(&o.json, "json", false, "print one JSON object, for scripts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.url, o.to = strings.TrimSuffix(o.url, "/"), cmp.Or(o.to, defaultTo)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.body == "" && o.button == "" && o.list == "":
		return o, errors.New("a message needs -body, -button or -list")
	case o.optOut != "" && o.optOut != "STOP" && o.optOut != "START" && o.optOut != "HELP":
		return o, fmt.Errorf("-opt-out must be STOP, START or HELP, not %q", o.optOut)
	case o.wait < 0:
		return o, fmt.Errorf("-wait must not be negative: %v", o.wait)
	}
	if u, err := url.Parse(o.url); err != nil || u.Host == "" {
		return o, fmt.Errorf("-url must be an address such as %s, not %q", defaultURL, o.url)
	}
	for name, number := range map[string]*string{"-from": &o.from, "-to": &o.to} {
		parsed, err := customer.Parse(*number)
		if err != nil {
			return o, fmt.Errorf("%s %q: %w", name, *number, err)
		}
		*number = parsed
	}
	if o.id == "" {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		o.id = "SM" + hex.EncodeToString(random[:])
	}
	return o, nil
}

// form returns the message as Twilio posts it.
func (o options) form() url.Values {
	form := url.Values{
		"MessageSid": {o.id}, "SmsMessageSid": {o.id}, "NumMedia": {"0"}, "From": {"whatsapp:" + o.from}, "To": {"whatsapp:" + o.to},
		"WaId": {strings.TrimPrefix(o.from, "+")}, "Body": {o.body},
	}
	if customer.IsUserID(o.from) {
		form.Set("ExternalUserId", o.from) // Twilio sends it whether the number is shown or hidden
	}
	if o.userID != "" {
		form.Set("ExternalUserId", o.userID)
	}
	if o.optOut != "" {
		form.Set("OptOutType", o.optOut)
	}
	if o.profile != "" {
		form.Set("ProfileName", o.profile)
	}
	if o.button != "" {
		form.Set("ButtonPayload", o.button)
		form.Set("ButtonText", o.body)
	}
	if o.list != "" {
		form.Set("ListId", o.list)
		form.Set("ListTitle", o.body)
	}
	return form
}
