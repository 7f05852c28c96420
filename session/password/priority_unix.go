//go:build unix

package password

import "syscall"

// lowerPriority lowers the priority of all threads of the process. For that it moves
// the process into a process group of its own: given a process, Linux's setpriority
// changes one thread only.
func lowerPriority(niceness int) error {
	if err := syscall.Setpgid(0, 0); err != nil {
		return err
	}
	return syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness)
}
