package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"slices"
	"strconv"
	"time"
)

// httpConn is one keep-alive connection with one request at a time. It replaces
// the client of net/http, which would take more of a shared machine's CPU than the
// server that is measured.
type httpConn struct {
	address string
	from    net.Addr      // the client's own address; nil means any
	timeout time.Duration // 0 means responseTimeout
	conn    net.Conn      // nil if the next request has to open a connection
	in      *bufio.Reader
	out     []byte
	body    []byte
}

// responseTimeout limits the time until a response is complete.
const responseTimeout = 15 * time.Second

// do sends a request and reads the whole response. The body is valid until the next
// call. After a failure the next call opens a new connection. The failed request
// is not repeated: only the caller can decide whether that is safe.
func (c *httpConn) do(method, path, bearer string, body []byte) (status int, response []byte, err error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return 0, nil, err
		}
	}
	c.compose(method, path, bearer, body)
	_ = c.conn.SetDeadline(time.Now().Add(cmp.Or(c.timeout, responseTimeout)))
	if _, err = c.conn.Write(c.out); err == nil {
		status, err = c.read()
	}
	if err != nil {
		c.close()
	}
	return status, c.body, err
}

func (c *httpConn) dial() error {
	dialer := net.Dialer{LocalAddr: c.from, Timeout: cmp.Or(c.timeout, responseTimeout)}
	conn, err := dialer.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 8<<10)
	return nil
}

func (c *httpConn) compose(method, path, bearer string, body []byte) {
	b := append(append(append(c.out[:0], method...), ' '), path...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), c.address...), "\r\n"...)
	if bearer != "" {
		b = append(append(append(b, "Authorization: Bearer "...), bearer...), "\r\n"...)
	}
	if body != nil {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n"...)
	}
	c.out = append(append(b, "\r\n"...), body...)
}

// read reads a response. It looks only at the headers that say where the response
// ends. A client that kept all headers would cost more for a server that sends
// more of them.
func (c *httpConn) read() (status int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil || len(line) < len("HTTP/1.1 200\r\n") {
		return 0, cmp.Or(err, errNotHTTP)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errNotHTTP
	}
	var length int64
	var chunked, last bool
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			break
		}
		value = bytes.TrimRight(value, "\r\n")
		switch string(name) {
		case "Content-Length", "content-length":
			if length, err = strconv.ParseInt(string(value), 10, 32); err != nil {
				return 0, errNotHTTP
			}
		case "Transfer-Encoding", "transfer-encoding":
			chunked = true
		case "Connection", "connection":
			last = string(value) == "close"
		}
	}
	if err = c.readBody(length, chunked); last {
		c.close()
	}
	return status, err
}

var errNotHTTP = errors.New("the response is not HTTP/1.1")

func (c *httpConn) readBody(length int64, chunked bool) (err error) {
	c.body = c.body[:0]
	if chunked {
		body := bytes.NewBuffer(c.body)
		_, err = body.ReadFrom(httputil.NewChunkedReader(c.in))
		c.body = body.Bytes()
		_, _ = c.in.Discard(len("\r\n")) // after the last chunk
		return err
	}
	c.body = slices.Grow(c.body, int(length))[:length]
	_, err = io.ReadFull(c.in, c.body)
	return err
}

func (c *httpConn) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
