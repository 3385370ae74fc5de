package listcontent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/listcontent"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// contents has the contents of all accounts. Each call first calls before, which may make it fail.
type contents struct {
	mu            sync.Mutex
	made          map[string]time.Time // by SID
	names         map[string]string    // by SID; begins with the account
	finds, create int
	before        func() error
}

func (c *contents) call() error {
	if c.before != nil {
		return c.before()
	}
	return nil
}

func (c *contents) Find(_ context.Context, account, name string, after time.Time) (string, error) {
	if err := c.call(); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finds++
	for sid, at := range c.made {
		if c.names[sid] == account+name && at.After(after) {
			return sid, nil
		}
	}
	return "", nil
}

func (c *contents) Create(_ context.Context, account string, list listpicker.List) (string, error) {
	time.Sleep(100 * time.Millisecond) // so that simultaneous calls overlap
	if err := c.call(); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.create++
	sid := fmt.Sprint("HX", c.create)
	c.made[sid], c.names[sid] = time.Now(), account+list.Name()
	return sid, nil
}

func (c *contents) Older(_ context.Context, account, prefix string, before time.Time) ([]string, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var old []string
	for sid, at := range c.made {
		if len(c.names[sid]) > len(account+prefix) && c.names[sid][:len(account+prefix)] == account+prefix && at.Before(before) {
			old = append(old, sid)
		}
	}
	return old, false, nil
}

func (c *contents) Delete(_ context.Context, _, sid string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.made, sid)
	return c.call()
}

// server is a cache in memory.
type server struct {
	mu     sync.Mutex
	values map[string]string
	until  map[string]time.Time
}

func (s *server) get(key string) (string, bool) {
	if !time.Now().Before(s.until[key]) {
		return "", false
	}
	v, ok := s.values[key]
	return v, ok
}

func (s *server) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.get(key)
	return []byte(v), ok, nil
}

func (s *server) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key], s.until[key] = string(value), time.Now().Add(ttl)
	return nil
}

func (s *server) SetIfAbsent(_ context.Context, key, value string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.get(key); ok {
		return false, nil
	}
	s.values[key], s.until[key] = value, time.Now().Add(ttl)
	return true, nil
}

func (s *server) DeleteIfEquals(_ context.Context, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key] == value {
		delete(s.values, key)
	}
	return nil
}

// setup returns contents, a cache, and instances that use both.
func setup(instances int) (*contents, *server, []*listcontent.Store) {
	c := &contents{made: map[string]time.Time{}, names: map[string]string{}}
	s := &server{values: map[string]string{}, until: map[string]time.Time{}}
	var stores []*listcontent.Store
	for i := range instances {
		var mu sync.Mutex
		random := uint64(i) << 32
		stores = append(stores, listcontent.New(c, cache.Options{
			Server: s, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Random: func() uint64 { mu.Lock(); defer mu.Unlock(); random++; return random },
		}))
	}
	return c, s, stores
}

func list(name string) listpicker.List {
	return listpicker.Menu([]menu.Category{{Name: menu.Text{English: name}}}, menu.LanguageEnglish)[0]
}

func mustSID(t *testing.T, s *listcontent.Store, account, name, want string) {
	t.Helper()
	if sid, err := s.SID(t.Context(), account, list(name)); sid != want || err != nil {
		t.Errorf("the list of %s is %q, %v, want %q", name, sid, err, want)
	}
}

func TestMadeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, stores := setup(5)
		var asking sync.WaitGroup
		for i := range 50 {
			asking.Go(func() { mustSID(t, stores[i%5], "", "Grills", "HX1") })
		}
		asking.Wait()
		if c.create != 1 {
			t.Errorf("made %d times", c.create)
		}
		mustSID(t, stores[0], "AC1", "Grills", "HX2") // each account has its own
		mustSID(t, stores[0], "", "Drinks", "HX3")
	})
}

// TestFoundAgain: neither an emptied cache nor a new instance makes a list anew, until the list is old.
func TestFoundAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, stores := setup(3)
		mustSID(t, stores[0], "", "Grills", "HX1")
		mustSID(t, stores[0], "", "Grills", "HX1")
		mustSID(t, stores[1], "", "Grills", "HX1")
		if c.finds != 1 {
			t.Errorf("Twilio was asked %d times", c.finds)
		}
		clear(s.values)
		mustSID(t, stores[2], "", "Grills", "HX1")
		time.Sleep(listcontent.MaxAge - time.Hour)
		mustSID(t, stores[0], "", "Grills", "HX1")
		time.Sleep(25 * time.Hour)
		mustSID(t, stores[0], "", "Grills", "HX2")
	})
}

// TestPause: while an account's calls fail, only its first customer waits for the failure.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, stores := setup(1)
		down := errors.New("down")
		c.before = func() error { return down }
		if _, err := stores[0].SID(t.Context(), "", list("Grills")); !errors.Is(err, down) {
			t.Errorf("error %v", err)
		}
		c.before = nil
		if _, err := stores[0].SID(t.Context(), "", list("Drinks")); !errors.Is(err, listcontent.ErrPaused) {
			t.Errorf("error %v, want a pause", err)
		}
		mustSID(t, stores[0], "AC1", "Grills", "HX1")
		time.Sleep(10 * time.Second)
		mustSID(t, stores[0], "", "Grills", "HX2")
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, stores := setup(1)
		mustSID(t, stores[0], "", "Grills", "HX1")
		delete(c.made, "HX1") // by hand, in Twilio's console
		if err := stores[0].Forget(t.Context(), "", list("Grills")); err != nil {
			t.Fatalf("forgetting the list: %v", err)
		}
		mustSID(t, stores[0], "", "Grills", "HX2")
	})
}

// TestPrune: a deleted list's SID is no longer returned, and other lists stay.
func TestPrune(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, stores := setup(2)
		mustSID(t, stores[0], "", "Grills", "HX1")
		mustSID(t, stores[0], "AC1", "Grills", "HX2")
		prune := func(want int) {
			t.Helper()
			if n, err := stores[0].Prune(t.Context(), ""); n != want || err != nil {
				t.Errorf("deleted %d, %v, want %d", n, err, want)
			}
		}
		prune(0)
		time.Sleep(listcontent.ExpiredAfter - 25*time.Hour)
		mustSID(t, stores[1], "", "Grills", "HX3")
		prune(0)
		time.Sleep(26 * time.Hour)
		prune(1)
		prune(0)
		if _, ok := c.made["HX1"]; ok || len(c.made) != 2 {
			t.Errorf("there are %v", c.made)
		}
		mustSID(t, stores[0], "", "Grills", "HX3")
	})
}
