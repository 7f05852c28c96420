// Package ports gives loopback ports to the servers of tests and benchmarks.
// A port belongs to one caller at a time, whichever process or package it is
// of, also while the server that it is for is being restarted.
//
// The usual way, to listen on port 0 and to let go of what the kernel chose,
// has two holes: the kernel may choose the same port again at once, and gives
// it to any outgoing connection. Ports here are below the kernel's own range,
// and a caller holds a second port, mate above, for as long as it has the first.
package ports

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

	// bus is how far above its own port a Redis Cluster's node listens for the
	// others: claimed with each port.
	bus = 10000
	// mate is how far above a port is the one that shows that it is taken.
	mate = 15000
)

// Claim gives a free port of 127.0.0.1, until release. The end of the process
// releases it, too. It fails where none of the 5,000 is free.
func Claim() (port int, release func(), err error) {
	for _, i := range rand.Perm(count) {
		port = first + i
		second, err := listen(port + mate)
		if err != nil {
			continue
		}
		if free(port) && free(port+bus) {
			return port, func() { _ = second.Close() }, nil
		}
		_ = second.Close()
	}
	return 0, nil, errors.New("no port from 10000 to 14999 is free")
}

// Address is 127.0.0.1:PORT, claimed until the test ends. Of a server on it the
// test has to see the end first: stop it in a Cleanup that is registered later.
func Address(tb testing.TB) string {
	tb.Helper()
	port, release, err := Claim()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return On(port)
}

// On is the address of a port on 127.0.0.1.
func On(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func listen(port int) (net.Listener, error) { return net.Listen("tcp", On(port)) }

func free(port int) bool {
	l, err := listen(port)
	if err == nil {
		err = l.Close()
	}
	return err == nil
}
