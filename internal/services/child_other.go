//go:build unix && !linux

package services

import "syscall"

// childAttributes: without a parent-death signal only a test binary that is killed
// leaves its services behind.
func childAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
