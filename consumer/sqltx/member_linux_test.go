package sqltx_test

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends a member, frozen or not, with the thread that starts it.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
