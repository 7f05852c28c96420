package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
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

func (w *wire) read() (int, error) {
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	w.body = w.body[:0]
	for err == nil {
		if len(w.body) == cap(w.body) {
			w.body = append(w.body, 0)[:len(w.body)]
		}
		var n int
		n, err = resp.Body.Read(w.body[len(w.body):cap(w.body)])
		w.body = w.body[:len(w.body)+n]
	}
	if err != io.EOF {
		return 0, err
	}
	if resp.Close {
		w.close()
	}
	return resp.StatusCode, nil
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}
