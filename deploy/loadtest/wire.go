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

// wire is one keep-alive connection that carries one request at a time. It
// stands in for net/http's client, which would take more of a shared machine
// than the server that is measured.
type wire struct {
	address string
	conn    net.Conn // nil: dialled at the next request
	in      *bufio.Reader
	out     []byte
	body    []byte
}

// answerTime is how long an answer may take; a later one counts as none.
const answerTime = 15 * time.Second

// do sends a request and reads the whole answer, whose body is good until the
// next call. A connection that fails is dialled again at the next request, not
// at this one: whether to repeat it is for who sent it to say.
func (w *wire) do(method, path, bearer string, body []byte) (status int, answer []byte, err error) {
	if w.conn == nil {
		if err := w.dial(); err != nil {
			return 0, nil, err
		}
	}
	w.compose(method, path, bearer, body)
	_ = w.conn.SetDeadline(time.Now().Add(answerTime))
	if _, err = w.conn.Write(w.out); err == nil {
		status, err = w.read()
	}
	if err != nil {
		w.close()
	}
	return status, w.body, err
}

func (w *wire) dial() error {
	conn, err := net.DialTimeout("tcp", w.address, answerTime)
	if err != nil {
		return err
	}
	w.conn, w.in = conn, bufio.NewReaderSize(conn, 8<<10)
	return nil
}

func (w *wire) compose(method, path, bearer string, body []byte) {
	b := append(append(append(w.out[:0], method...), ' '), path...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), w.address...), "\r\n"...)
	if bearer != "" {
		b = append(append(append(b, "Authorization: Bearer "...), bearer...), "\r\n"...)
	}
	if body != nil {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n"...)
	}
	w.out = append(append(b, "\r\n"...), body...)
}

// read reads an answer. Of its headers it looks at those that say where it
// ends: a client that kept them all would cost more the more a server sends.
func (w *wire) read() (status int, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil || len(line) < len("HTTP/1.1 200\r\n") {
		return 0, cmp.Or(err, errNotHTTP)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errNotHTTP
	}
	var length int64
	var chunked, last bool
	for {
		if line, err = w.in.ReadSlice('\n'); err != nil {
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
	if err = w.readBody(length, chunked); last {
		w.close()
	}
	return status, err
}

var errNotHTTP = errors.New("the answer is no HTTP/1.1")

func (w *wire) readBody(length int64, chunked bool) (err error) {
	w.body = w.body[:0]
	if chunked {
		resp := bytes.NewBuffer(w.body)
		_, err = resp.ReadFrom(httputil.NewChunkedReader(w.in))
		w.body = resp.Bytes()
		_, _ = w.in.Discard(len("\r\n")) // after the last chunk
		return err
	}
	w.body = slices.Grow(w.body, int(length))[:length]
	_, err = io.ReadFull(w.in, w.body)
	return err
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}
