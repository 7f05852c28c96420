package hosts_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/hosts"
)

// TestMain makes the test binary a program of a host: "serve ADDRESS" sends back what it receives, and "connect
// ADDRESS" connects standard input and output with a server.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != "serve" && os.Args[1] != "connect" {
		os.Exit(m.Run())
	}
	if err := map[string]func(string) error{"serve": serve, "connect": connect}[os.Args[1]](os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(conn, conn) }()
	}
}

func connect(address string) error {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return errors.New("timeout")
		}
		return err
	}
	fmt.Println("ready")
	go func() { _, _ = io.Copy(conn, os.Stdin) }()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// program is a program on a host.
type program struct {
	in    io.Writer
	lines chan string
}

// start starts this test binary on a host and checks the first line that it prints.
func start(t *testing.T, h *hosts.Host, command, address, want string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.Command(self, command, address)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &program{in, make(chan string, 10)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	p.expect(t, want)
	return p
}

// expect waits for the next line of the program and compares it.
func (p *program) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.lines:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("got no line, want %q", want)
	}
}

// TestCutIsSilent checks that a cut refuses nothing and ends no connection, and that what was sent meanwhile
// arrives after Heal. Hosts that are not cut reach each other, and the test reaches all.
func TestCutIsSilent(t *testing.T) {
	if !hosts.AsRoot(t) {
		return
	}
	network := hosts.New(t, 3)
	a, b, c := network.Hosts()[0], network.Hosts()[1], network.Hosts()[2]
	server := b.Addr(7000)
	start(t, b, "serve", server, "ready")
	connected := start(t, a, "connect", server, "ready")
	fmt.Fprintln(connected.in, "before")
	connected.expect(t, "before")

	network.Cut([]*hosts.Host{a}, []*hosts.Host{b})
	fmt.Fprintln(connected.in, "during")
	start(t, a, "connect", server, "timeout")
	start(t, c, "connect", server, "ready")
	conn, err := net.DialTimeout("tcp", server, 10*time.Second)
	if err != nil {
		t.Fatalf("the test must reach a host that is cut off from another: %v", err)
	}
	conn.Close()
	select {
	case got := <-connected.lines:
		t.Fatalf("while cut off: got %q, want nothing", got)
	default:
	}

	network.Heal()
	connected.expect(t, "during")
	start(t, a, "connect", server, "ready")
}

// TestAbandonedNetworkIsRemoved checks that New removes the namespaces of a process that no longer exists, with
// what runs in them, and no others.
func TestAbandonedNetworkIsRemoved(t *testing.T) {
	if !hosts.AsRoot(t) {
		return
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	abandoned := fmt.Sprintf("tokengate-test-%d-0-router", ended.Process.Pid)
	if out, err := exec.Command("ip", "netns", "add", abandoned).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left := exec.Command("ip", "netns", "exec", abandoned, "sleep", "60")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if pids, _ := exec.Command("ip", "netns", "pids", abandoned).Output(); len(pids) > 0 || time.Now().After(deadline) {
			break
		}
	}
	used := hosts.New(t, 1)
	hosts.New(t, 1)
	if err := left.Wait(); left.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the program in the abandoned namespace: got %v, want it to be killed", err)
	}
	if list, _ := exec.Command("ip", "netns", "list").Output(); strings.Contains(string(list), abandoned) {
		t.Errorf("the abandoned namespace is still there: %s", list)
	}
	start(t, used.Hosts()[0], "serve", used.Hosts()[0].Addr(7000), "ready")
}
