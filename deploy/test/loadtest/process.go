package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is USER_HZ, the unit of CPU time in Linux's /proc/PID/stat. It is 100
// on all architectures that Go supports.
const clockTick = 100

// cpuSeconds returns the CPU time of a process so far, in user and kernel mode, or
// 0 if the process no longer exists.
func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field, the name, may contain spaces. It ends at the last ")".
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	user, _ := strconv.ParseFloat(string(fields[11]), 64)
	kernel, _ := strconv.ParseFloat(string(fields[12]), 64)
	return (user + kernel) / clockTick
}

// residentMiB returns the resident memory of a process in MiB, or 0 if the process
// no longer exists.
func residentMiB(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// process is a server that this command has started.
type process struct {
	name    string
	address string
	admin   string // address of a gateway's admin listener
	cmd     *exec.Cmd
	log     string // path of the file with its output
	exited  chan struct{}
}

func (p *process) monitored() monitored { return monitored{p.name, p.cmd.Process.Pid} }

// startProcess starts a command. Its output goes to a file in dir, because reading a
// pipe would cost the load generator CPU time.
func startProcess(dir, name string, env []string, argv ...string) (*process, error) {
	out, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own file descriptor
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd, log: out.Name(), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 20 * time.Second
)

// waitReady calls ready every half millisecond until it returns nil.
func (p *process) waitReady(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return p.notReady(errors.New("the process has exited"))
		case <-ctx.Done():
			return p.notReady(err)
		case <-time.After(500 * time.Microsecond):
		}
	}
}

// notReady returns an error that contains err and the end of the process's output.
func (p *process) notReady(err error) error {
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, text[max(0, len(text)-2000):])
}

// stop sends SIGTERM, and SIGKILL if the process still runs after stopTimeout.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// respondsOK returns a function that returns nil if a URL responds with status 200.
func respondsOK(url string) func() error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return func() error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}
}

// acceptsConnections returns a function that returns nil if a TCP connection to an
// address can be opened.
func acceptsConnections(address string) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
}

// build builds a package of this module with the flags of a release.
func build(ctx context.Context, dir, pkg string) (string, error) {
	path := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
