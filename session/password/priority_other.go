//go:build !unix

package password

// lowerPriority does nothing: the system has no such call.
func lowerPriority(int) error { return nil }
