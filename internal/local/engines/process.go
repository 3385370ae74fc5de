package engines

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a server in a process group of its own.
type process struct {
	command *exec.Cmd
	output  string        // the file with its output
	ended   chan struct{} // closed when it has ended; err is set by then
	err     error
}

// startProcess starts a command in a folder. Its output goes to the file with the given name there.
func startProcess(folder, name string, args []string) (*process, error) {
	output, err := os.Create(filepath.Join(folder, name+".log"))
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(args[0], args[1:]...), output: output.Name(), ended: make(chan struct{})}
	p.command.Dir = folder
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = ownGroup()
	started := make(chan error)
	go func() {
		defer func() { _ = output.Close() }()
		// A child ends together with the thread that started it, so this thread must last as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		started <- err
		if err == nil {
			p.err = p.command.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// await returns as soon as ready succeeds. It fails if the process has ended or the time is up.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil && !p.hasEnded() { // otherwise another program answers at its port
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the process ended right after its start: %w. Its last output:\n%s", p.err, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("the process doesn't answer: %w. Its last output:\n%s", err, p.lastWords())
		case <-time.After(readyInterval):
		}
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// lastWords returns the end of the process's output.
func (p *process) lastWords() []byte {
	printed, _ := os.ReadFile(p.output) // an error here would hide the error that the output explains
	return tail(printed)
}

// tail returns the end of an output, for an error message.
func tail(output []byte) []byte {
	const most = 2000
	return bytes.TrimSpace(output[max(0, len(output)-most):])
}

// stop ends the process and all its children, and returns when it has ended.
func (p *process) stop() {
	if !p.hasEnded() {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // fails only if it has just ended
	}
	<-p.ended
}
