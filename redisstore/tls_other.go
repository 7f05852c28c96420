//go:build !unix

package redisstore

import "syscall"

// dataWaiting looks at no socket, as the Redis client does not on these systems.
func dataWaiting(syscall.RawConn) (waiting bool, err error) { return false, nil }
