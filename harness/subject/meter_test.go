//go:build linux

package subject

import (
	"math"
	"os"
	"testing"
	"time"
)

// The CPU time of a process is seen, that of its children too, and that of nobody is none.
func TestCPU(t *testing.T) {
	own := []int{os.Getpid()}
	busy := time.Now()
	for cpuOf(own) == 0 && time.Since(busy) < 10*time.Second { // it is counted in steps of 10 ms
		_ = math.Sqrt(float64(time.Now().UnixNano()))
	}
	if cpuOf(own) == 0 {
		t.Error("this process is said to have used nothing")
	}
	if cpuOf([]int{0, 1 << 30}) != 0 || cpuOf(nil) != 0 {
		t.Error("nobody has used something")
	}
	in, _ := start(t, sh(`while :; do :; done & wait`))
	meter := in.(Meter)
	for meter.CPU() == 0 && time.Since(busy) < 30*time.Second {
		time.Sleep(pollEvery) // the kernel offers no event for it
	}
	if meter.CPU() == 0 {
		t.Error("a child that is busy is said to have used nothing")
	}
}
