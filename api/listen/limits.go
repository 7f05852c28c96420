package listen

import "math"

// The limits of open connections, which are files of the process. maxConnections bounds their
// memory: an idle one takes 17 KiB, or 28 KiB with TLS, so all of them fit into the 256 MiB of
// deploy/kubernetes.
const (
	maxConnections      = 4096
	maxAdminConnections = 64
)

// connectionLimits returns how many connections the public and the admin listener may have if
// the process may have a number of open files. Public connections are half of them, and
// fewer, down to a quarter, where that would leave less than 512 for the admin listener, the
// connections to Redis and user sources, and the process that hashes.
func connectionLimits(files uint64) (public, admin int) {
	n := int(min(files, math.MaxInt32))
	return max(1, min(maxConnections, max(n/4, min(n/2, n-512)))), max(1, min(maxAdminConnections, n/8))
}

// clientShare returns how many of a listener's connections one client network may have: a
// quarter, but four at least.
func clientShare(most int) int { return max(most/4, min(most, 4)) }
