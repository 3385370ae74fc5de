//go:build aws

package valkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/valkey-io/valkey-go"

	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// eachEngine runs a test with a server and with a cluster of two nodes. Only this test uses keys that begin with prefix.
func eachEngine(t *testing.T, test func(t *testing.T, address, prefix string, mode func(*Config))) {
	for name, engine := range map[string]struct {
		kind engines.Kind
		mode func(*Config)
	}{
		"single":  {engines.Cache, func(*Config) {}},
		"cluster": {engines.CacheCluster, cluster},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := engines.Endpoint(engine.kind)
			if err != nil {
				t.Fatal(err)
			}
			test(t, address, rand.Text(), engine.mode)
		})
	}
}

func TestEngineCommands(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, address, prefix string, mode func(*Config)) {
		c := setup(t, address, mode)
		ctx := t.Context()
		a := prefix + "a"
		if got := get(t, c, a); got != "none" {
			t.Errorf("a key that was never set has the value %q", got)
		}
		const ttl = 300 * time.Millisecond
		binary := "\x00\xff\r\n" + strings.Repeat("x", 100_000)
		begin := time.Now()
		if err := c.Set(ctx, a, []byte(binary), ttl); err != nil {
			t.Fatal(err)
		}
		if got := get(t, c, a); got != binary {
			t.Errorf("got %d bytes, want the %d that were set", len(got), len(binary))
		}
		for get(t, c, a) != "none" {
			if time.Since(begin) > 10*ttl {
				t.Fatal("the value outlives its time")
			}
			time.Sleep(ttl / 10)
		}
		if time.Since(begin) < ttl {
			t.Error("the value is gone before its time")
		}
		if err := c.Set(ctx, prefix+"empty", nil, time.Minute); err != nil || get(t, c, prefix+"empty") != "" {
			t.Errorf("an empty value: %q, %v", get(t, c, prefix+"empty"), err)
		}

		lock := prefix + "lock"
		for i, want := range []bool{true, false} {
			if set, err := c.SetIfAbsent(ctx, lock, strconv.Itoa(i), time.Minute); err != nil || set != want {
				t.Errorf("SetIfAbsent %d = %t, %v, want %t", i, set, err, want)
			}
		}
		if err := c.DeleteIfEquals(ctx, lock, "1"); err != nil || get(t, c, lock) != "0" {
			t.Errorf("another's lock was deleted (%v)", err)
		}
		if err := c.DeleteIfEquals(ctx, lock, "0"); err != nil || get(t, c, lock) != "none" {
			t.Errorf("one's own lock was not deleted (%v)", err)
		}
	})
}

// TestEngineSlots sets keys of one slot, and keys of many slots on both nodes of a cluster.
func TestEngineSlots(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, address, prefix string, mode func(*Config)) {
		c := setup(t, address, mode)
		for _, tag := range []string{"{" + prefix + "}", prefix} {
			values := make(map[string][]byte)
			for i := range 50 {
				values[tag+strconv.Itoa(i)] = []byte(strconv.Itoa(i))
			}
			if n, err := c.SetAll(t.Context(), values, time.Minute); err != nil || n != len(values) {
				t.Fatalf("SetAll = %d, %v", n, err)
			}
			for key, want := range values {
				if got := get(t, c, key); got != string(want) {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		}
		const sum = `return redis.call('GET', KEYS[1]) + redis.call('GET', KEYS[2]) + ARGV[1]`
		keys := []string{"{" + prefix + "}20", "{" + prefix + "}22"}
		if n, err := c.Eval(t.Context(), sum, keys, "100"); err != nil || n != 142 {
			t.Errorf("a script over two keys of one slot: %d, %v", n, err)
		}
	})
}

// eachNode sends a command to the nodes of a client.
func eachNode(t *testing.T, c *Client, command func(driver.Client) driver.Completed) (answers map[string]driver.ValkeyResult) {
	t.Helper()
	answers = make(map[string]driver.ValkeyResult)
	err := c.do(t.Context(), "a test's command", func(ctx context.Context, d driver.Client) error {
		for address, node := range d.Nodes() {
			answer := node.Do(ctx, command(node))
			if err := answer.Error(); err != nil {
				return fmt.Errorf("%s: %w", address, err)
			}
			answers[address] = answer
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// TestEngineForgottenScripts: a server that was restarted knows no scripts.
func TestEngineForgottenScripts(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, address, prefix string, mode func(*Config)) {
		c := setup(t, address, mode)
		for i := range 3 {
			if n, err := c.Eval(t.Context(), `return redis.call('INCRBY', KEYS[1], ARGV[1])`, []string{prefix}, "5"); err != nil || n != int64(5*i+5) {
				t.Errorf("Eval = %d, %v, want %d", n, err, 5*i+5)
			}
			eachNode(t, c, func(d driver.Client) driver.Completed { return d.B().ScriptFlush().Build() })
		}
		if n, err := c.Eval(t.Context(), `return redis.call('NOSUCHTHING')`, []string{prefix}); !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("a script that fails: %d, %v", n, err)
		}
		if n, err := c.Eval(t.Context(), `return tonumber(redis.call('GET', KEYS[1]))`, []string{prefix}); err != nil || n != 15 {
			t.Errorf("after a script that failed: %d, %v", n, err)
		}
	})
}

// TestEngineUsers signs in as on ElastiCache: with a user's name, and a token as the password.
func TestEngineUsers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, address, prefix string, mode func(*Config)) {
		eachNode(t, setup(t, address, mode), func(d driver.Client) driver.Completed {
			return d.B().AclSetuser().Username(prefix).Rule("on", ">right", "~*", "+@all").Build()
		})
		for token, admitted := range map[string]bool{"right": true, "wrong": false} {
			c := setup(t, address, mode, func(config *Config) {
				config.Username = prefix
				config.Token = func(context.Context) (string, error) { return token, nil }
			})
			err := c.Set(t.Context(), prefix, []byte("1"), time.Minute)
			if admitted != (err == nil) || err != nil && !errors.Is(err, outage.ErrUnavailable) {
				t.Errorf("with the %s token: %v", token, err)
			}
		}
	})
}

// TestEngineClosedConnections: the server closes the client's connections, as it does with idle ones.
func TestEngineClosedConnections(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, address, prefix string, mode func(*Config)) {
		eachNode(t, setup(t, address, mode), func(d driver.Client) driver.Completed {
			return d.B().AclSetuser().Username(prefix).Rule("on", "nopass", "~*", "+@all").Build()
		})
		c := setup(t, address, mode, func(config *Config) {
			config.Username = prefix
			config.Token = func(context.Context) (string, error) { return "any", nil }
		})
		executioner := setup(t, address, mode)
		for round := range 5 {
			var wg sync.WaitGroup
			for i := range 2 * maxConnections {
				wg.Go(func() {
					if err := c.Set(t.Context(), prefix+strconv.Itoa(i), []byte("x"), time.Minute); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			wg.Wait()
			killed := int64(0)
			for _, answer := range eachNode(t, executioner, func(d driver.Client) driver.Completed {
				return d.B().ClientKill().User(prefix).Build()
			}) {
				n, err := answer.AsInt64()
				if err != nil {
					t.Fatal(err)
				}
				killed += n
			}
			if killed == 0 {
				t.Error("the server had no connection to end")
			}
		}
	})
}

// TestEngineMovedSlot: after a slot has moved to the other node, the client still finds it. The test has a cluster of its
// own: a node gives away only empty slots, and another test's key may be in the slot.
func TestEngineMovedSlot(t *testing.T) {
	t.Parallel()
	own, err := engines.Start(t.Context(), "../../.cache/engines", engines.CacheCluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Stop)
	address := own.Endpoint(engines.CacheCluster)
	c := setup(t, address, cluster)
	key := "{" + rand.Text() + "}"
	ids, slot := make(map[string]string), int64(0)
	for node, answer := range eachNode(t, c, func(d driver.Client) driver.Completed { return d.B().ClusterMyid().Build() }) {
		if ids[node], err = answer.ToString(); err != nil {
			t.Fatal(err)
		}
	}
	for _, answer := range eachNode(t, c, func(d driver.Client) driver.Completed { return d.B().ClusterKeyslot().Key(key).Build() }) {
		if slot, err = answer.AsInt64(); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 2 {
		t.Fatalf("the cluster has the nodes %v, want two", ids)
	}
	nodes := slices.Collect(maps.Values(ids))
	for _, id := range append(nodes, nodes[0]) { // whichever node had the slot at first, the second and the third move take it away
		eachNode(t, setup(t, address, cluster), func(d driver.Client) driver.Completed {
			return d.B().ClusterSetslot().Slot(slot).Node().NodeId(id).Build()
		})
		if err := c.Set(t.Context(), key, []byte(id), time.Minute); err != nil {
			t.Errorf("the slot has moved: %v", err)
		}
		if got := get(t, setup(t, address, cluster), key); got != id {
			t.Errorf("a client that comes afterwards reads %q, want %q", got, id)
		}
		if err := c.DeleteIfEquals(t.Context(), key, id); err != nil { // only an empty slot can be given away
			t.Fatal(err)
		}
	}
}
