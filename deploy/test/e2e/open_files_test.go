package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// TestFewFilesSuffice opens more connections than a process with few files may have. It serves
// all the time, and never runs out of files.
func TestFewFilesSuffice(t *testing.T) {
	t.Parallel()
	started := time.Now()
	g, address := startWithFiles(t, 40, false, "", nil)
	for range 60 {
		conn, err := net.Dial("tcp", address)
		must(t, err)
		defer conn.Close()
		requireStatus(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", "few"), "login")
	}
	if got, most := len(linesOf(g.Log(), "level=WARN", "connections are at their limit", "listener=public")), 1+int(time.Since(started)/(10*time.Second)); got < 1 || got > most {
		t.Errorf("got %d lines about the limit, want 1 to %d", got, most)
	}
	if lines := linesOf(g.Log(), "too many open files"); len(lines) > 0 {
		t.Errorf("the process had too many open files: %s", lines[0])
	}
}

// TestTooManyOpenFilesIsLogged takes away the files of a running process, as other parts of it
// may. The log must have an error, and not one for each attempt. The process serves again when
// it can.
func TestTooManyOpenFilesIsLogged(t *testing.T) {
	t.Parallel()
	started := time.Now()
	g, address := startWithFiles(t, 1024, false, "", gatewaytest.Settings{"LOG_LEVEL": "debug"})
	limit := func(files int) {
		t.Helper()
		out, err := exec.Command("prlimit", "--pid", strconv.Itoa(g.PID()), fmt.Sprintf("--nofile=%d:1024", files)).CombinedOutput()
		if err != nil {
			t.Fatalf("prlimit: %v\n%s", err, out)
		}
	}
	limit(4)
	conn, err := net.Dial("tcp", address) // the queue of the listener accepts it
	must(t, err)
	defer conn.Close()
	gatewaytest.WaitUntil(t, 20*time.Second, "the server has tried several times", func() bool {
		return len(linesOf(g.Log(), "level=DEBUG", "http: Accept error", "too many open files")) >= 4
	})
	got, most := len(linesOf(g.Log(), "level=ERROR", "address="+address, "too many open files")), 1+int(time.Since(started)/(10*time.Second))
	if got < 1 || got > most {
		t.Errorf("got %d lines about too many open files, want 1 to %d", got, most)
	}
	limit(1024)
	requireStatus(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", "again"), "login")
}
