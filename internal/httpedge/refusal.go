package httpedge

import (
	"fmt"
	"net/http"
	"strings"
)

// Refusal is an answer other than 200, and the error behind it: a sentence for a person and a code for a program. The rest of
// the error stays inside, in the log.
type Refusal struct {
	Status  int               `json:"-"`
	Message string            `json:"error"`
	Code    string            `json:"code"`
	Header  map[string]string `json:"-"` // sent along
}

// Error returns the message without its full stop: in the log, the cause follows after a colon.
func (r *Refusal) Error() string { return strings.TrimSuffix(r.Message, ".") }

var (
	errUnknownPath = &Refusal{Status: http.StatusNotFound, Message: "There is nothing at this address.", Code: "not_found"}
	errInternal    = &Refusal{
		Status: http.StatusInternalServerError, Message: "Something went wrong on our side.", Code: "internal_error",
	}
)

func methodRefused(allowed []string) *Refusal {
	return &Refusal{
		Status: http.StatusMethodNotAllowed, Message: "Use " + strings.Join(allowed, " or ") + " at this address.", Code: "method_not_allowed",
		Header: map[string]string{"Allow": strings.Join(allowed, ", ")},
	}
}

// InvalidParameter refuses a parameter's value. The problem completes "Parameter 'name' …".
func InvalidParameter(name, problem string) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Message: fmt.Sprintf("Parameter '%s' %s.", name, problem), Code: "invalid_parameter",
	}
}

// Unavailable tells the caller to try again after so many seconds.
func Unavailable(message, seconds string) *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Message: message, Code: "unavailable", Header: map[string]string{"Retry-After": seconds},
	}
}
