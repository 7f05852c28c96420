package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// maxLine bounds how much of standard input is read for a password, in bytes. It is more
// than a password may have, so a longer one is not cut off but rejected.
const maxLine = 4096

// readPassword reads a password: standard input up to the end of the first line. On a
// terminal, the password is not shown, and must be typed twice.
func (in *invocation) readPassword(ctx context.Context) (string, error) {
	fd, terminal := terminalOf(in.In)
	if !terminal {
		line, err := bufio.NewReader(io.LimitReader(in.In, maxLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
	}
	first, err := in.readHidden(ctx, fd, "password: ")
	if err != nil {
		return "", err
	}
	second, err := in.readHidden(ctx, fd, "the same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return first, nil
}

// readHidden reads a line from a terminal that does not show it. If ctx is done, it
// restores the terminal and returns: the program has to end when the user presses Ctrl-C.
func (in *invocation) readHidden(ctx context.Context, fd int, prompt string) (string, error) {
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type result struct {
		line []byte
		err  error
	}
	results := make(chan result, 1)
	fmt.Fprint(in.Err, prompt)
	defer fmt.Fprintln(in.Err)
	go func() {
		line, err := term.ReadPassword(fd)
		results <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		return "", ctx.Err()
	case r := <-results:
		return string(r.line), r.err
	}
}
