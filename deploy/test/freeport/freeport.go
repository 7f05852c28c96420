// Package freeport assigns loopback ports to the servers of tests and benchmarks. A
// port belongs to one caller at a time, across packages and processes, even while its
// server is restarted.
//
// The usual method is to listen on port 0 and to close the listener. It has two faults:
// the kernel may assign the same port again at once, and it may assign it to an outgoing
// connection. The ports of this package lie below the kernel's range. A caller marks a
// port as taken by listening on a second port, markerOffset above it.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

const (
	first = 10000
	count = 5000

	// busOffset is the distance from the port of a Redis Cluster's node to its cluster
	// bus port. Claim checks that this port is free, too.
	busOffset = 10000
	// markerOffset is the distance from a port to the port that marks it as taken.
	markerOffset = 15000
)

// Claim returns a free port of 127.0.0.1 and a function that releases it. The end of
// the process releases it too. Claim fails if none of the 5,000 ports is free.
func Claim() (port int, release func(), err error) {
	for _, i := range rand.Perm(count) {
		port = first + i
		marker, err := listen(port + markerOffset)
		if err != nil {
			continue
		}
		if free(port) && free(port+busOffset) {
			return port, func() { _ = marker.Close() }, nil
		}
		_ = marker.Close()
	}
	return 0, nil, errors.New("no port from 10000 to 14999 is free")
}

// Address returns 127.0.0.1:PORT with a port that is claimed until the test ends. The
// test must stop its server before that: register the server's Cleanup after this call.
func Address(tb testing.TB) string {
	tb.Helper()
	port, release, err := Claim()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return Addr(port)
}

// Addr returns the address of a port on 127.0.0.1.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func listen(port int) (net.Listener, error) { return net.Listen("tcp", Addr(port)) }

// free reports whether a port is free.
func free(port int) bool {
	l, err := listen(port)
	if err == nil {
		err = l.Close()
	}
	return err == nil
}
