package redisstore_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// logBuffer keeps what a store logs at info level and above.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) use(o *redisstore.Options) { o.Logger = slog.New(slog.NewTextHandler(b, nil)) }

// count returns how many lines contain a text.
func (b *logBuffer) count(text string) int { return strings.Count(b.String(), text) }

// TestFollowLogsFailures checks that the log has the reason why the feed does not work, not
// once per poll, and that it works again.
func TestFollowLogsFailures(t *testing.T) {
	for command, line := range map[string]string{"xrange": "revocations of other instances can't be read", "subscribe": "subscription to revocations failed"} {
		t.Run(command, func(t *testing.T) {
			srv := redistest.Standalone(t)
			srv.Do("ACL", "SETUSER", "gate", "on", ">s3cret", "~*", "&*", "+@all", "-"+command)
			log := &logBuffer{}
			s := open(t, "redis://gate:s3cret@"+srv.Addr, polling(20*time.Millisecond), log.use)
			r := follow(t, s)
			waitFor(t, "the reason is logged", func() bool {
				return log.count(line) > 0 && strings.Contains(log.String(), "NOPERM") && strings.Contains(log.String(), command)
			})
			time.Sleep(300 * time.Millisecond) // several polls
			if n := log.count("level=ERROR"); n != 1 {
				t.Errorf("got %d errors in the log, want 1: %s", n, log)
			}
			srv.Do("ACL", "SETUSER", "gate", "+"+command)
			waitFor(t, "the log says that it works again", func() bool { return log.count("again") == 1 })
			waitFor(t, "a poll is done", func() bool { return r.caughtUpSince(time.Time{}) })
			waitFor(t, "Follow has subscribed", func() bool { return subscribers(srv) == 1 })
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("the log contains the password: %s", log)
			}
		})
	}
}

// TestClientLogsAtDebugLevel checks that steps that fail add nothing to the log at info level, and
// that no level has the password of a server that repeats it.
func TestClientLogsAtDebugLevel(t *testing.T) {
	r := redistest.Sentinel(t)
	deaf := redistest.Standalone(t, "--rename-command", "HELLO", "", "--rename-command", "AUTH", "")
	log, all := &logBuffer{}, &logBuffer{}
	debug := func(o *redisstore.Options) {
		o.Logger = slog.New(slog.NewTextHandler(all, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	deafSentinel := open(t, "redis+sentinel://"+deaf.Addr+"/tokengate?sentinel_password=s3cret", debug)
	runSteps(deafSentinel, session.Session{})
	if got := all.String(); !strings.Contains(got, "unknown command") || strings.Contains(got, "s3cret") {
		t.Errorf("got the log %q, want an unknown command and no password", got)
	}
	s := open(t, r.URL, log.use)
	login(t, s, alice, policy)
	r.Primary.Kill()
	r.Sentinel.Kill()
	runSteps(s, session.Session{})
	if log.String() != "" {
		t.Errorf("got the log %s, want nothing", log)
	}
}
