package services

import "syscall"

// postgresAttributes puts the server into a process group of its own, away from
// Ctrl-C, and tells it to shut down at once when the thread that started it ends.
func postgresAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
