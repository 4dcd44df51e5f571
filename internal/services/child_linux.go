package services

import "syscall"

// childAttributes send a child this signal when the thread that started it ends, and
// so with this process, however that ends. Its own group keeps Ctrl-C from reaching
// it before us.
func childAttributes(end syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: end}
}
