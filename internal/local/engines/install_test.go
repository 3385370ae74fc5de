package engines

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestFolderIsWholeOrNotThere: an incomplete download is repeated, and a complete download is kept.
func TestFolderIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	i := installer{dir: filepath.Join(t.TempDir(), "new", "cache")}
	fetches, offline := 0, errors.New("no network")
	fetch := func(folder string) error {
		fetches++
		if exists(filepath.Join(folder, "half")) {
			t.Error("a half is left from the time before")
		}
		if err := os.WriteFile(filepath.Join(folder, "half"), nil, 0o644); err != nil {
			return err
		}
		if fetches == 1 {
			return offline
		}
		return nil
	}
	if _, err := i.folder("engine-1.2", fetch); !errors.Is(err, offline) || !strings.Contains(err.Error(), "engine-1.2") {
		t.Errorf("error %v, want the fault with the engine's name", err)
	}
	for range 2 {
		folder, err := i.folder("engine-1.2", fetch)
		if err != nil || !filepath.IsAbs(folder) || !exists(filepath.Join(folder, "half")) {
			t.Errorf("folder %q, error %v", folder, err)
		}
	}
	if fetches != 2 {
		t.Errorf("%d fetches, want 2", fetches)
	}
}

func TestFolderIsFetchedOnce(t *testing.T) {
	t.Parallel()
	i := installer{dir: t.TempDir()}
	fetches := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := i.folder("engine", func(string) error {
				fetches++ // without a lock, so that the race detector notices simultaneous fetches
				time.Sleep(5 * time.Millisecond)
				return nil
			})
			if err != nil {
				t.Errorf("installing the engine: %v", err)
			}
		})
	}
	wg.Wait()
	if fetches != 1 {
		t.Errorf("%d fetches, want 1", fetches)
	}
}

// TestMissingCommand: if Debian packages can't be installed, the error says what to do.
func TestMissingCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	i := installer{dir: t.TempDir()}
	_, err := i.command(t.Context(), "engine-server", "engined", "engine")
	if err == nil || !strings.Contains(err.Error(), "engined or engine is not installed (on Debian: apt-get install engine-server)") {
		t.Errorf("error %v", err)
	}
}

// TestCommandIsInstalled: the Debian package has the command, or lacks it.
func TestCommandIsInstalled(t *testing.T) {
	bin := t.TempDir()
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	i := installer{dir: t.TempDir(), mayInstall: true}
	script("apt-get", "echo unable to locate package; exit 100")
	if _, err := i.command(t.Context(), "engine-server", "engine"); err == nil || !strings.Contains(err.Error(), "unable to locate package") {
		t.Errorf("error %v, want apt-get's", err)
	}
	script("apt-get", "exit 0")
	if _, err := i.command(t.Context(), "engine-server", "engine"); err == nil || !strings.Contains(err.Error(), "has no engine") {
		t.Errorf("error %v, want that the package hasn't it", err)
	}
	script("apt-get", `case "$*" in *" install "*engine-server) printf '#!/bin/sh\n' > `+bin+`/engine; /bin/chmod +x `+bin+`/engine;; esac`)
	if path, err := i.command(t.Context(), "engine-server", "engined", "engine"); err != nil || path != filepath.Join(bin, "engine") {
		t.Errorf("path %q, error %v", path, err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := run(ctx, t.TempDir(), shell("sleep 60 & wait")...); err == nil {
		t.Error("it succeeded")
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
