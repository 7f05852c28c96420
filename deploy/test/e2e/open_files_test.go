package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// TestTooManyOpenFilesIsLogged opens more connections than the process may have files. The
// log must have an error, and not one for each attempt. The process serves again when it
// can.
func TestTooManyOpenFilesIsLogged(t *testing.T) {
	t.Parallel()
	public, admin := freeport.Address(t), freeport.Address(t)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	defer log.Close()
	cmd := exec.Command("sh", "-c", `ulimit -n 40; exec "$0" serve`, gatewaytest.Binary(t))
	cmd.Env = []string{"TOKENGATE_LISTEN=" + public, "TOKENGATE_ADMIN_LISTEN=" + admin, "TOKENGATE_LOG_LEVEL=debug"}
	cmd.Stderr = log
	started := time.Now()
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	serves := func() bool {
		resp, err := http.Get("http://" + public + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusNotFound
	}
	gatewaytest.WaitUntil(t, 20*time.Second, "the gateway serves", serves)

	const connections = 60
	var open [connections]net.Conn
	for i := range open {
		open[i], err = net.Dial("tcp", public) // the queue of the listener accepts it
		must(t, err)
		defer open[i].Close()
	}
	lines := func(texts ...string) int {
		text, err := os.ReadFile(log.Name())
		must(t, err)
		return len(linesOf(string(text), texts...))
	}
	gatewaytest.WaitUntil(t, 20*time.Second, "the server has tried several times", func() bool {
		return lines("level=DEBUG", "http: Accept error", "too many open files") >= 4
	})
	got, most := lines("level=ERROR", "address="+public, "too many open files"), 1+int(time.Since(started)/(10*time.Second))
	if got < 1 || got > most {
		t.Errorf("got %d lines about too many open files, want 1 to %d", got, most)
	}
	for _, conn := range open {
		conn.Close()
	}
	gatewaytest.WaitUntil(t, 20*time.Second, "the gateway serves again", serves)
}
