package engines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// installer installs the engines' parts.
type installer struct {
	dir        string // downloads go here, into a folder for each engine and version
	mayInstall bool   // whether Debian packages may be installed
}

func newInstaller(dir string) installer { return installer{dir, os.Geteuid() == 0} }

// folder returns the folder with the given name. If it is missing or incomplete, fetch fills it anew.
func (i installer) folder(name string, fetch func(folder string) error) (string, error) {
	folder, err := filepath.Abs(filepath.Join(i.dir, name))
	if err != nil {
		return "", err
	}
	stamp := filepath.Join(folder, "installed")
	if exists(stamp) {
		return folder, nil
	}
	unlock, err := i.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(stamp) { // another process has filled it meanwhile
		return folder, nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	if err := fetch(folder); err != nil {
		return "", fmt.Errorf("downloading or building %s: %w", name, err)
	}
	return folder, os.WriteFile(stamp, nil, 0o644)
}

// command returns the path of the first of the commands that exists. If none does, it installs the Debian package with it,
// provided that this is a Debian and mayInstall is set.
func (i installer) command(ctx context.Context, debianPackage string, names ...string) (string, error) {
	if path := find(names); path != "" {
		return path, nil
	}
	wanted := strings.Join(names, " or ")
	if find([]string{"apt-get"}) == "" || !i.mayInstall {
		return "", fmt.Errorf("%s is not installed (on Debian: apt-get install %s)", wanted, debianPackage)
	}
	unlock, err := i.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	for _, args := range [][]string{{"update"}, {"install", "--yes", "--no-install-recommends", debianPackage}} {
		if err := run(ctx, "", append([]string{"apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"}, args...)...); err != nil {
			return "", fmt.Errorf("%s is not installed, and installing it with the Debian package %s failed: %w", wanted, debianPackage, err)
		}
	}
	if path := find(names); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("the Debian package %s was installed, but has no %s", debianPackage, wanted)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func find(names []string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// lock waits until no other installation runs, in this process or another.
func (i installer) lock() (unlock func(), err error) {
	if err := os.MkdirAll(i.dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(i.dir, "lock"))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("waiting for another installation, with the lock %s: %w", file.Name(), err)
	}
	return func() { _ = file.Close() }, nil
}

// run runs a command in a directory until it ends. Its error has the end of the command's output.
func run(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = dir
	// RUNLEVEL=1 keeps Debian packages from starting the services that they install.
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", strings.Join(args, " "), err, tail(output))
	}
	return nil
}
