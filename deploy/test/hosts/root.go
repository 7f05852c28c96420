package hosts

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// AsRoot reports whether the test runs as root and so can go on. Otherwise it runs the test once more in a new
// process, by sudo, and the test fails if that one fails. env is added to the environment of that process,
// as NAME=VALUE. The rest of the environment stays as it is, but only for the go command and for variables of
// this project.
func AsRoot(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getuid() == 0 {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "env", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for _, line := range os.Environ() {
		if strings.HasPrefix(line, "GO") || strings.HasPrefix(line, "TOKENGATE_") {
			args = append(args, line)
		}
	}
	args = append(append(args, env...), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(deadline).String())
	}
	out, err := exec.Command("sudo", args...).CombinedOutput()
	t.Logf("as root:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("this test needs root for network namespaces: run it as root, or with a sudo that asks for no password: %v", err)
	}
	return false
}
