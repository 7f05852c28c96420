//go:build !unix

package listen

import "math"

// openFiles returns a large number: the system has no such limit.
func openFiles() uint64 { return math.MaxInt32 }
