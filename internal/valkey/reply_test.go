package valkey

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// answering lets answer reply to the named commands in the server's place; if answer returns false, the server replies. A
// cluster's commands go through the relay, so that the test sees every connection.
func answering(m *miniredis.Miniredis, r *relay, names string, answer func(*server.Peer) bool) {
	hook := func(peer *server.Peer, command string, args ...string) bool {
		return strings.Contains(names, command+" ") && answer(peer)
	}
	m.Server().SetPreHook(joined(shardsHook(r), hook))
}

func joined(hooks ...server.Hook) server.Hook {
	return func(peer *server.Peer, command string, args ...string) bool {
		for _, hook := range hooks {
			if hook(peer, command, args...) {
				return true
			}
		}
		return false
	}
}

// TestReadOnlyConnectionIsReplaced: after a failover, connections to the old primary stay open and refuse every write. A
// command on such a connection is repeated once, on a new connection.
func TestReadOnlyConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]string{
		"a command's":              "READONLY You can't write against a read only replica.",
		"a script's, before 7":     "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.",
		"a primary that is away":   "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"a server that starts now": "LOADING Redis is loading the dataset in memory",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachMode(t, func(t *testing.T, mode func(*Config)) {
				m := miniredis.RunT(t)
				r := newRelay(t, m.Addr())
				var old atomic.Pointer[server.Peer] // the connection of the first write
				answering(m, r, "SET EVALSHA EVAL ", func(peer *server.Peer) bool {
					old.CompareAndSwap(nil, peer)
					if old.Load() != peer {
						return false
					}
					peer.WriteError(refusal)
					return true
				})
				c := setup(t, r.address(), mode)
				for i := range 30 {
					if err := c.Set(t.Context(), "k", []byte("v"), patience); err != nil {
						t.Fatalf("write %d: %v", i+1, err)
					}
				}
			})
		})
	}
}

// TestUnreadableReply: the driver panics at some invalid replies. The command then fails as if the cache were down, and the
// next command succeeds.
func TestUnreadableReply(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"$-99\r\n", "*-99\r\n", "?1\r\n", "$abc\r\n", "%-5\r\n"} {
		t.Run(strings.TrimSpace(reply), func(t *testing.T) {
			t.Parallel()
			eachMode(t, func(t *testing.T, mode func(*Config)) {
				m := miniredis.RunT(t)
				r := newRelay(t, m.Addr())
				var broken atomic.Bool
				broken.Store(true)
				answering(m, r, "GET ", func(peer *server.Peer) bool {
					if !broken.Load() {
						return false
					}
					peer.Block(func(w *server.Writer) { w.WriteRaw(reply) })
					return true
				})
				c := setup(t, r.address(), mode)
				if _, _, err := c.Get(t.Context(), "k"); !errors.Is(err, outage.ErrUnavailable) {
					t.Fatalf("error %v, want that the cache is unavailable", err)
				}
				broken.Store(false)
				time.Sleep(2 * c.pause) // longer than the server is left alone
				if _, _, err := c.Get(t.Context(), "k"); err != nil {
					t.Errorf("after the server is well: %v", err)
				}
			})
		})
	}
}
