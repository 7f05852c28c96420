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

// Do sends one command on a connection of its own and gives the answer as text,
// an array's elements on lines of their own; empty when the server is out of
// reach. It is for setting tests up, apart from the client that they test.
func (s *Server) Do(args ...string) string {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(startTime)) // a dead connection shows when it is used
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

// readReply reads one reply of RESP2.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimSuffix(line[1:], "\r\n")
	n, _ := strconv.Atoi(rest)
	switch {
	case kind == '*':
		all := make([]string, max(n, 0))
		for i := range all {
			if all[i], err = readReply(r); err != nil {
				return "", err
			}
		}
		return strings.Join(all, "\n"), nil
	case kind == '$' && n < 0:
		return "", nil
	case kind == '$':
		text := make([]byte, n+len("\r\n"))
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	}
	return rest, nil
}
