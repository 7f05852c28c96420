//go:build unix

package redisstore

import (
	"io"
	"syscall"
)

// dataWaiting reports whether data has arrived at a socket, and leaves it there. It fails
// with io.EOF if the peer has closed the connection.
func dataWaiting(socket syscall.RawConn) (waiting bool, err error) {
	failed := socket.Read(func(fd uintptr) bool {
		var data [1]byte
		var n int
		n, _, err = syscall.Recvfrom(int(fd), data[:], syscall.MSG_PEEK) // Go's sockets do not block
		switch {
		case err == syscall.EAGAIN:
			err = nil
		case err == nil && n == 0:
			err = io.EOF
		case err == nil:
			waiting = true
		}
		return true
	})
	if failed != nil {
		return false, failed
	}
	return waiting, err
}
