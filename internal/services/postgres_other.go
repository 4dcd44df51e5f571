//go:build !linux

package services

import "syscall"

// postgresAttributes puts the server into a process group of its own. Only
// Linux can end it when the test process is killed.
func postgresAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
