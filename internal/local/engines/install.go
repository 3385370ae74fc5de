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

// installer gets the engines' parts.
type installer struct {
	dir        string // target of downloads, with a folder for each engine and version
	mayInstall bool   // packages of the system
}

func newInstaller(dir string) installer { return installer{dir, os.Geteuid() == 0} }

// folder returns the folder of that name, which fetch fills when it isn't there yet: whole or not at all.
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
	if exists(stamp) { // by now
		return folder, nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	if err := fetch(folder); err != nil {
		return "", fmt.Errorf("could not get %s: %w", name, err)
	}
	return folder, os.WriteFile(stamp, nil, 0o644)
}

// command returns the path of the first of the commands that there is. Where there is none, the package of Debian's that
// has it is installed, if this is a Debian and we may.
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
			return "", fmt.Errorf("%s is not installed, and Debian's package %s could not be: %w", wanted, debianPackage, err)
		}
	}
	if path := find(names); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("the package %s of Debian's has no %s", debianPackage, wanted)
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

// lock waits until nobody else installs, in this process or another.
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
		return nil, fmt.Errorf("locking %s: %w", file.Name(), err)
	}
	return func() { _ = file.Close() }, nil
}

// run runs a command to its end in a directory. Its error has the end of the command's output.
func run(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = dir
	// Services that Debian's packages bring would be started: not in runlevel 1.
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", strings.Join(args, " "), err, tail(output))
	}
	return nil
}
