package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"tokengate/session/config"
	"tokengate/session/users"
)

// importFile imports the users of a file, or of standard input if the operand is "-". It
// checks the whole file before it writes the first user.
func (c *userCommand) importFile(ctx context.Context) error {
	in := c.In
	if path := c.operands[0]; path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	accounts, warnings, err := users.Import(in, users.ImportOptions{UsernameField: c.settings.UsernameField, Nearest: config.Nearest})
	for _, w := range warnings {
		fmt.Fprintln(c.Err, "warning:", w)
	}
	if err != nil {
		return err
	}
	bar := newProgress(c.Err, len(accounts))
	done, err := c.Accounts.Import(ctx, c.app, accounts, operatorName, bar.advance)
	bar.finish()
	c.warnPending(done)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "%d users\n", len(accounts))
	return err
}

// progress shows how much of a long command is done. The zero value shows nothing.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress returns a progress bar of total steps if w is a terminal.
func newProgress(w io.Writer, total int) progress {
	if _, terminal := terminalOf(w); !terminal {
		return progress{}
	}
	return progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("importing users"), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
	)}
}

// advance shows that one more step is done.
func (p progress) advance() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a terminal that can't be written to must not stop the command
	}
}

// finish removes the bar from the terminal.
func (p progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// terminalOf returns the file descriptor of a stream, and whether it is a terminal.
func terminalOf(stream any) (fd int, terminal bool) {
	file, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(file.Fd()) // file descriptors are small
	return fd, term.IsTerminal(fd)
}
