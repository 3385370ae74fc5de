package engines

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// folderVariable turns this test's binary into a program that starts a process and is then killed.
const folderVariable = "ENGINES_TEST_FOLDER"

// TestKilledParent: a process ends together with its parent, even if the parent is killed.
func TestKilledParent(t *testing.T) {
	if folder := os.Getenv(folderVariable); folder != "" {
		if _, err := startProcess(folder, "child", shell("echo $$ > new; mv new pid; exec sleep 60")); err != nil {
			t.Fatalf("starting the process: %v", err)
		}
		time.Sleep(time.Minute)
	}
	t.Parallel()
	folder := t.TempDir()
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledParent$")
	parent.Env = append(os.Environ(), folderVariable+"="+folder)
	if err := parent.Start(); err != nil {
		t.Fatalf("starting the process: %v", err)
	}
	child, err := 0, os.ErrNotExist
	for begin := time.Now(); err != nil && time.Since(begin) < 10*time.Second; time.Sleep(time.Millisecond) {
		child, err = readPID(filepath.Join(folder, "pid"))
	}
	if killErr := parent.Process.Kill(); killErr != nil {
		t.Fatal(killErr)
	}
	_ = parent.Wait() // its error only says that it was killed
	if err != nil {
		t.Fatalf("reading the process id: %v", err)
	}
	wantEnd(t, child)
}
