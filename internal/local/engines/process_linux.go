package engines

import "syscall"

// ownGroup puts a process into a group of its own, so that its children can be ended with it. The kernel ends the process
// when this process ends, even if this process is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
