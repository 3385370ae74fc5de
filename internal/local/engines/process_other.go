//go:build !linux

package engines

import "syscall"

// ownGroup puts a process in a group of its own, so that all that it starts can be ended with it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
