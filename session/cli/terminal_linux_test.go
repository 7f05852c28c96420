package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/term"

	"tokengate/session/config/configtest"
)

// terminal is a pseudo terminal: a program uses its file, and the test has the keyboard and
// the screen.
type terminal struct {
	*testing.T
	file     *os.File
	keyboard *os.File
	mu       sync.Mutex
	screen   bytes.Buffer
	plain    *term.State // the state in which it shows what is typed
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	var unlock, number uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	file, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{T: t, file: file, keyboard: keyboard}
	if x.plain, err = term.GetState(int(file.Fd())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = file.Close(), keyboard.Close() })
	go func() {
		for b := make([]byte, 1024); ; {
			n, err := keyboard.Read(b)
			x.mu.Lock()
			x.screen.Write(b[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

// hides reports whether the terminal does not show what is typed.
func (x *terminal) hides() bool {
	state, err := term.GetState(int(x.file.Fd()))
	return err == nil && !reflect.DeepEqual(state, x.plain)
}

func (x *terminal) waitUntil(what string, reached func() bool) {
	x.Helper()
	for deadline := time.Now().Add(20 * time.Second); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.Fatalf("timed out waiting until %s; the screen shows %q", what, x.shown())
		}
	}
}

// typeLine types a line after a prompt, as soon as the terminal hides it.
func (x *terminal) typeLine(prompt, line string) {
	x.Helper()
	x.waitUntil("the prompt "+prompt+" is shown and typing is hidden", func() bool { return strings.HasSuffix(x.shown(), prompt) && x.hides() })
	if _, err := x.keyboard.WriteString(line + "\n"); err != nil {
		x.Fatal(err)
	}
}

// TestPasswordOnTerminal checks that a password is not shown, and must be typed twice.
func TestPasswordOnTerminal(t *testing.T) {
	for again, want := range map[string]string{"open sesame": "", "open sésame": "the two passwords differ"} {
		x, c := openTerminal(t), newCLITest(t)
		configtest.Setenv(t, c.env...)
		done := make(chan error, 1)
		go func() {
			done <- Program{Assemble: c.assemble}.Run(t.Context(), strings.Fields("user add alice --app shop"), Stdio{In: x.file, Out: &c.stdout, Err: x.file})
		}()
		x.typeLine("password: ", "open sesame")
		x.typeLine("again: ", again)
		err := <-done
		if want == "" && (err != nil || !c.accepts("alice", "open sesame")) || want != "" && (err == nil || !strings.Contains(err.Error(), want) || c.count() > 0) {
			t.Errorf("%q again: got %v and %d users, want %q", again, err, c.count(), want)
		}
		if strings.Contains(x.shown(), "sesame") || x.hides() {
			t.Errorf("the screen shows %q, and typing stays hidden: %t", x.shown(), x.hides())
		}
	}
}

// TestPasswordIsInterrupted checks that Ctrl-C ends a command that waits for a password, and
// that the terminal shows again what is typed.
func TestPasswordIsInterrupted(t *testing.T) {
	x, c := openTerminal(t), newCLITest(t)
	configtest.Setenv(t, c.env...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Program{Assemble: c.assemble}.Run(ctx, strings.Fields("user add alice --app shop"), Stdio{In: x.file, Out: &c.stdout, Err: x.file})
	}()
	x.waitUntil("the password can be typed", func() bool { return strings.HasSuffix(x.shown(), "password: ") && x.hides() })
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) || c.count() > 0 || x.hides() {
			t.Errorf("got %v and %d users, and typing stays hidden: %t", err, c.count(), x.hides())
		}
	case <-time.After(20 * time.Second):
		t.Error("the command does not end")
	}
	_, _ = x.keyboard.WriteString("\n") // ends the read that the command has left
}

// TestImportShowsProgress checks that there is a progress bar on a terminal, which is removed
// in the end.
func TestImportShowsProgress(t *testing.T) {
	x, c := openTerminal(t), newCLITest(t)
	configtest.Setenv(t, c.env...)
	err := Program{Assemble: c.assemble}.Run(t.Context(), strings.Fields("user import ../users/testdata/dumpdata-all.json --app shop"),
		Stdio{In: strings.NewReader(""), Out: &c.stdout, Err: x.file})
	if err != nil || c.stdout.String() != "5 users\n" {
		t.Errorf("got %v and the output %q, want 5 users and no bar", err, &c.stdout)
	}
	x.waitUntil("the bar is shown", func() bool {
		return strings.Contains(x.shown(), "importing users") && strings.Contains(x.shown(), "/5")
	})
}
