// Package bootstrap prepares a new customer's next message. Each welcome causes a job, and a worker runs the job by prefetching
// the data of later answers into the cache.
package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// Version is the version of the job's JSON form. A worker refuses other versions, because it might silently leave a part of
// such a job undone.
const Version = 1

// JobType is the message attribute that names the kind of message to readers of the queue.
const JobType = "welcome-bootstrap"

// AttributeFailures is the message attribute that carries the number of failed attempts when a job is sent anew.
const AttributeFailures = "failures"

const (
	maxJobBytes    = 16 << 10
	maxJobID       = 128
	maxProfileName = 256
)

// ErrMalformed says that a message is not a valid job. Trying again is of no use.
var ErrMalformed = errors.New("malformed bootstrap job")

// Job asks for a restaurant's data to be prefetched because a customer was welcomed.
type Job struct {
	Version      int       `json:"version"`
	JobID        string    `json:"jobId"` // a repeat of the customer's message gives the same id
	RestaurantID string    `json:"restaurantId"`
	MerchantID   string    `json:"merchantId"`
	CustomerWa   string    `json:"customerWa"` // E.164, or a BSUID
	ProfileName  string    `json:"profileName"`
	EnqueuedAt   time.Time `json:"enqueuedAt"`
	// TwilioAccountSID is the bot's own Twilio account, in which its lists are made; "" is Sufrah's account. Adding this
	// field didn't change Version: an older worker ignores the field, and only makes no lists.
	TwilioAccountSID string `json:"twilioAccountSid,omitempty"`
}

// Age returns the time since the customer's welcome.
func (j Job) Age(now time.Time) time.Duration { return now.Sub(j.EnqueuedAt) }

// Late says whether the job is too old to be useful: its customer's menu was fetched on demand. A worker drops it without running it.
func (j Job) Late(now time.Time, maxAge time.Duration) bool { return j.Age(now) > maxAge }

// Validate returns every fault of j, joined and as ErrMalformed, or nil. Both sides of the queue call it.
func (j Job) Validate() error {
	var faults []error
	if j.Version != Version {
		faults = append(faults, fmt.Errorf("version: want %d, got %d", Version, j.Version))
	}
	if j.JobID == "" || !restaurant.Printable(j.JobID, maxJobID) {
		faults = append(faults, fmt.Errorf("jobId: want 1 to %d printable characters", maxJobID))
	}
	if !restaurant.ValidID(j.RestaurantID) {
		faults = append(faults, errors.New("restaurantId: not a valid restaurant id"))
	}
	if !restaurant.ValidID(j.MerchantID) {
		faults = append(faults, errors.New("merchantId: not a valid merchant id"))
	}
	if !customer.Valid(j.CustomerWa) {
		faults = append(faults, errors.New("customerWa: neither a phone number in E.164 form nor a WhatsApp user id"))
	}
	if !restaurant.Printable(j.ProfileName, maxProfileName) {
		faults = append(faults, fmt.Errorf("profileName: want at most %d printable characters", maxProfileName))
	}
	if !restaurant.Printable(j.TwilioAccountSID, maxJobID) {
		faults = append(faults, fmt.Errorf("twilioAccountSid: want at most %d printable characters", maxJobID))
	}
	if j.EnqueuedAt.IsZero() {
		faults = append(faults, errors.New("enqueuedAt: missing"))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrMalformed, errors.Join(faults...))
}

// ParseJob reads a job in JSON and validates it. It fails with ErrMalformed; the error doesn't quote the job. Unknown fields
// are ignored, because a change that matters to workers also changes the version.
func ParseJob(body []byte) (Job, error) {
	if len(body) > maxJobBytes {
		return Job{}, fmt.Errorf("%w: %d bytes are more than the allowed %d", ErrMalformed, len(body), maxJobBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	var j Job
	if err := decoder.Decode(&j); err != nil {
		return Job{}, fmt.Errorf("%w: not a JSON object with a job's fields", ErrMalformed)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Job{}, fmt.Errorf("%w: more data follows the job", ErrMalformed)
	}
	if err := j.Validate(); err != nil {
		return Job{}, err
	}
	return j, nil
}
