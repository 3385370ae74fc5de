package httpedge

import (
	"fmt"
	"net/http"
	"strings"
)

// Refusal is an answer with an error status. It has a sentence for a person and a code for a program. The error that caused
// it is only logged.
type Refusal struct {
	Status  int               `json:"-"`
	Message string            `json:"error"`
	Code    string            `json:"code"`
	Header  map[string]string `json:"-"` // additional headers of the answer
}

// Error returns the message without its full stop, because in the log a colon and the cause follow.
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

// InvalidParameter refuses a parameter's value. problem completes the sentence "Parameter 'name' …".
func InvalidParameter(name, problem string) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Message: fmt.Sprintf("Parameter '%s' %s.", name, problem), Code: "invalid_parameter",
	}
}

// Unavailable tells the caller to try again after a number of seconds.
func Unavailable(message, seconds string) *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Message: message, Code: "unavailable", Header: map[string]string{"Retry-After": seconds},
	}
}
