package services

import "syscall"

// childAttributes let a child die with the thread that started it, and so with this
// process, however that ends. Its own group keeps Ctrl-C from reaching it before us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
