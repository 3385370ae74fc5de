package engines

import "syscall"

// ownGroup puts a process in a group of its own, so that all that it starts can be ended with it, and makes the kernel end
// it when this process ends without a chance to do so.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
