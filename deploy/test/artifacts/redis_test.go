package artifacts

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore/redistest"
)

// The files for Redis, relative to deploy.
const (
	oneServerFile = "redis.conf"
	hostFile      = "redis-ha.conf"
	sentinelFile  = "sentinel.conf"
	dropIn        = "systemd/redis-ha.conf"
)

// redisSettings returns the settings of a file of Redis or Sentinel. Those of Sentinel have
// the name that follows "sentinel", and the value after the primary's name.
func redisSettings(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(read(t, path)) {
		line = strings.TrimSpace(strings.Replace(line, " mymaster", "", 1))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "sentinel "), " ")
		if _, twice := found[name]; twice {
			t.Errorf("%s has %s twice", path, name)
		}
		found[name] = value
	}
	return found
}

// TestRedisReadsFiles starts Redis with each file, asks for the settings that decide what is
// kept, and has Redis rewrite the file, as Sentinel does.
func TestRedisReadsFiles(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]map[string]string{
		oneServerFile: {"appendfsync": "always", "min-replicas-to-write": "0"},
		hostFile:      {"appendfsync": "everysec", "min-replicas-to-write": "1", "min-replicas-max-lag": "3", "replica-read-only": "yes"},
	} {
		want["maxmemory-policy"], want["appendonly"], want["no-appendfsync-on-rewrite"], want["save"] = "noeviction", "yes", "no", ""
		want["hash-max-listpack-value"], want["hz"] = "256", "100"
		srv := redistest.Start(t, redistest.Options{File: filepath.Join(deploy, path)})
		for name, value := range want {
			if got := srv.Do("CONFIG", "GET", name); got != name+"\n"+value {
				t.Errorf("%s: got %q, want %q", path, got, value)
			}
		}
		if got := srv.Do("CONFIG", "REWRITE"); got != "OK" {
			t.Errorf("%s: CONFIG REWRITE: %s", path, got)
		}
		srv.Restart()
	}
}

// TestRedisFilesAgree checks that the file for hosts with replicas has each setting of the
// file for one server, except what flushing to the disk means.
func TestRedisFilesAgree(t *testing.T) {
	host := redisSettings(t, hostFile)
	for name, value := range redisSettings(t, oneServerFile) {
		if name != "appendfsync" && host[name] != value {
			t.Errorf("%s has %s %q, and %s has %q", oneServerFile, name, value, hostFile, host[name])
		}
	}
}

// startPause returns how long the drop-in delays a start of Redis.
func startPause(t *testing.T) time.Duration {
	t.Helper()
	command := regexp.MustCompile(`(?m)^ExecStartPre=(\S+) (\d+)$`).FindStringSubmatch(read(t, dropIn))
	if command == nil || !strings.Contains(read(t, dropIn), "\nExecPaths="+command[1]+"\n") {
		t.Fatalf("%s: found no pause whose program may be executed", dropIn)
	}
	pause, err := time.ParseDuration(command[2] + "s")
	must(t, err)
	return pause
}

// TestFailoverFitsPauses checks that a primary that is cut off stops writing before Sentinel
// promotes a replica, and that one that crashed starts after that, even if the Sentinels do
// not agree at the first attempt.
func TestFailoverFitsPauses(t *testing.T) {
	host, sentinel := redisSettings(t, hostFile), redisSettings(t, sentinelFile)
	number := func(text string) time.Duration {
		n, err := strconv.Atoi(text)
		must(t, err)
		return time.Duration(n)
	}
	lag, down := number(host["min-replicas-max-lag"])*time.Second, number(sentinel["down-after-milliseconds"])*time.Millisecond
	if noticed := lag + 2*time.Second; noticed > down { // Redis counts whole seconds, once a second
		t.Errorf("a primary writes for up to %s after it was cut off, and another is promoted after %s", noticed, down)
	}
	attempts := 2 * number(sentinel["failover-timeout"]) * time.Millisecond // between two of them
	if longest := down + attempts + 3*time.Second; startPause(t) <= longest {
		t.Errorf("%s delays a start by %s, want more than %s", dropIn, startPause(t), longest)
	}
	if timeout := number(host["cluster-node-timeout"]) * time.Millisecond; timeout != down {
		t.Errorf("a Cluster takes a node for lost after %s, want %s as with Sentinel", timeout, down)
	}
	if monitor := sentinel["monitor"]; !strings.HasSuffix(monitor, " 6379 2") {
		t.Errorf("sentinel monitor %s: want port 6379 and the quorum 2", monitor)
	}
}

// TestSystemdReadsDropIn checks that systemd has no complaint about the drop-in for a service
// that is protected as Debian's.
func TestSystemdReadsDropIn(t *testing.T) {
	dir := t.TempDir()
	unit := filepath.Join(dir, "redis-server.service")
	writeFile(t, unit, "[Service]\nType=notify\nExecStart=/usr/bin/env true\nNoExecPaths=/\nExecPaths=/usr/bin/env /usr/lib /lib\n")
	writeFile(t, filepath.Join(unit+".d", "redis-ha.conf"), read(t, dropIn))
	output, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(output) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
}
