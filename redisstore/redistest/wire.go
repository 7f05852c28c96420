package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Do sends one command on its own connection and returns the reply as text, or the empty
// string if the server is out of reach. The elements of an array are separated by line
// breaks. Do does not use the Redis client, which is under test.
func (s *Server) Do(args ...string) string {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(waitTimeout)) // if the connection is broken, its use fails
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return ""
	}
	text, _ := readReply(bufio.NewReader(conn))
	return text
}

// DoWithPassword is like Do, but authenticates with a password first. Arguments must not contain
// spaces.
func (s *Server) DoWithPassword(password string, args ...string) string {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(waitTimeout)) // if the connection is broken, its use fails
	fmt.Fprintf(conn, "AUTH %s\r\n%s\r\n", password, strings.Join(args, " "))
	r := bufio.NewReader(conn)
	if _, err := readReply(r); err != nil {
		return ""
	}
	text, _ := readReply(r)
	return text
}

// readReply reads one RESP2 reply.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimSuffix(line[1:], "\r\n")
	n, _ := strconv.Atoi(rest)
	switch {
	case kind == '*':
		elements := make([]string, max(n, 0))
		for i := range elements {
			if elements[i], err = readReply(r); err != nil {
				return "", err
			}
		}
		return strings.Join(elements, "\n"), nil
	case kind == '$' && n < 0:
		return "", nil
	case kind == '$':
		text := make([]byte, n+len("\r\n"))
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	}
	return rest, nil
}
