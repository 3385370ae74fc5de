// Package listcontent stores the lists that customers tap as contents at Twilio. Each is made once, found again by a name
// derived from its content, and deleted when it is old.
//
//	SID ──> this instance's memory ──> the cache ──> Twilio, by name ──> made
//
// A content is used until MaxAge after it was made, and deleted after ExpiredAfter. So no content in use is ever deleted,
// although nobody notes its uses. After MaxAge, the list gets a new content, mostly in a bootstrap job.
package listcontent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
)

const (
	// MaxAge is the age until which a content is used.
	MaxAge = 30 * 24 * time.Hour
	// freshFor is how long a SID is fresh in the cache, and staleFor how much longer it is kept there, in case Twilio doesn't
	// answer.
	freshFor = 24 * time.Hour
	staleFor = 3 * 24 * time.Hour
	// rememberFor is how long an instance remembers a SID.
	rememberFor = 10 * time.Minute
	// ExpiredAfter is the age at which a content is deleted. It is greater than MaxAge, freshFor, staleFor and rememberFor
	// together.
	ExpiredAfter = 35 * 24 * time.Hour

	// pruneEvery is how often an account's old contents are looked for. If there are more than one call deletes, the next job
	// continues.
	pruneEvery = 24 * time.Hour
	prunedOnce = 20

	// After a failed call, an account isn't called for a while, so that not every customer waits for the same failure. The
	// pause is failurePause, or refusalPause if trying again is useless, as for an account without the Content API.
	failurePause = 10 * time.Second
	refusalPause = 5 * time.Minute

	maxRemembered = 2000
)

// ErrPaused says that no call was made, because the account's calls failed a moment ago.
var ErrPaused = errors.New("the Twilio account can't make lists at the moment")

// Contents has the contents of Twilio accounts; the account "" is Sufrah's own. An error with a method Retryable that returns
// false is permanent.
type Contents interface {
	// Find returns the SID of a content with the name that was made after a time, "" if there is none.
	Find(ctx context.Context, accountSID, name string, after time.Time) (string, error)
	// Create makes a content for the list, under its name, and returns its SID. A second call makes a second content.
	Create(ctx context.Context, accountSID string, list listpicker.List) (string, error)
	// Older returns SIDs of contents that were made before a time, with names that begin with the prefix. more says whether
	// there may be others.
	Older(ctx context.Context, accountSID, prefix string, before time.Time) (sids []string, more bool, err error)
	// Delete deletes a content; a missing content counts as deleted.
	Delete(ctx context.Context, accountSID, contentSID string) error
}

// Store finds and makes contents. It is safe for concurrent use.
type Store struct {
	contents Contents
	server   cache.Server
	sids     *cache.Loader[string]
	now      func() time.Time

	mu         sync.Mutex
	remembered map[string]memory    // by cache key
	paused     map[string]time.Time // end of the pause, by account
}

type memory struct {
	sid   string
	until time.Time
}

// New returns a store that keeps SIDs on the options' server, for times of its own.
func New(contents Contents, options cache.Options) *Store {
	options.TTL, options.StaleFor = freshFor, staleFor
	return &Store{
		contents: contents, server: options.Server, sids: cache.NewLoader[string](options), now: options.Now,
		remembered: make(map[string]memory), paused: make(map[string]time.Time),
	}
}

func key(accountSID, name string) string { return cache.Key("twilio/"+accountSID, "list:"+name) }

// SID returns the SID of the account's content for the list, and makes the content if there is none. Simultaneous callers of
// all instances make it once.
func (s *Store) SID(ctx context.Context, accountSID string, list listpicker.List) (string, error) {
	k := key(accountSID, list.Name())
	sid, err := s.recall(accountSID, k)
	if sid != "" || err != nil {
		return sid, err
	}
	sid, _, err = s.sids.Load(ctx, k, func(ctx context.Context) (string, error) {
		sid, err := s.contents.Find(ctx, accountSID, list.Name(), s.now().Add(-MaxAge))
		if err == nil && sid == "" {
			sid, err = s.contents.Create(ctx, accountSID, list)
		}
		return sid, err
	})
	s.note(accountSID, k, sid, err)
	return sid, err
}

// recall returns the SID that this instance remembers, "" if none, or ErrPaused.
func (s *Store) recall(accountSID, k string) (string, error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.remembered[k]; ok && now.Before(m.until) {
		return m.sid, nil
	}
	if now.Before(s.paused[accountSID]) {
		return "", ErrPaused
	}
	return "", nil
}

// note remembers the result of a look-up.
func (s *Store) note(accountSID, k, sid string, err error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		pause := failurePause
		if said, ok := errors.AsType[interface {
			error
			Retryable() bool
		}](err); ok && !said.Retryable() {
			pause = refusalPause
		}
		s.paused[accountSID] = now.Add(pause)
		return
	}
	delete(s.paused, accountSID)
	if len(s.remembered) >= maxRemembered {
		clear(s.remembered)
	}
	s.remembered[k] = memory{sid, now.Add(rememberFor)}
}

// Forget makes the next caller look for the list's content at Twilio. It is for a SID that can't be sent, because somebody
// has deleted the content for example.
func (s *Store) Forget(ctx context.Context, accountSID string, list listpicker.List) error {
	k := key(accountSID, list.Name())
	s.mu.Lock()
	delete(s.remembered, k)
	s.mu.Unlock()
	return s.server.Set(ctx, k, nil, time.Second) // an unreadable entry counts as missing
}

// Prune deletes some of the account's expired contents and returns their number. Once nothing is left to delete, it looks
// again a day later.
func (s *Store) Prune(ctx context.Context, accountSID string) (int, error) {
	lock := cache.Key("twilio/"+accountSID, "lists:pruned")
	token := s.now().UTC().Format(time.RFC3339Nano)
	mine, err := s.server.SetIfAbsent(ctx, lock, token, pruneEvery)
	if err != nil || !mine {
		return 0, err
	}
	sids, more, err := s.contents.Older(ctx, accountSID, listpicker.NamePrefix, s.now().Add(-ExpiredAfter))
	deleted := 0
	for _, sid := range sids[:min(len(sids), prunedOnce)] {
		if err = s.contents.Delete(ctx, accountSID, sid); err != nil {
			break
		}
		deleted++
	}
	if err != nil || more || len(sids) > prunedOnce {
		err = errors.Join(err, s.server.DeleteIfEquals(context.WithoutCancel(ctx), lock, token))
	}
	return deleted, err
}
