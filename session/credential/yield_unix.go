//go:build unix

package credential

import "syscall"

// yield lowers the priority of all threads of the process, which it puts into a
// group of its own for that: asked for a process, Linux changes one thread.
func yield(niceness int) error {
	if err := syscall.Setpgid(0, 0); err != nil {
		return err
	}
	return syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness)
}
