package api_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/api"
	"tokengate/api/wiretest"
)

const adminHeader = "Authorization: Bearer " + wiretest.AdminToken

func TestProfilesAreOffWithoutToken(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) { o.AdminToken = "" }})
	for _, path := range []string{"/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/pprof/trace", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
		expect(t, do(g.admin, "GET", path, "", "Authorization: Bearer "), 403, `{"detail":"The admin API is off: no ADMIN_TOKEN is set.","code":"admin_off"}`)
	}
}

// TestProfileSeconds checks that a profile takes at most 30 s, whichever it is.
func TestProfileSeconds(t *testing.T) {
	g := newGateway(t, options{})
	for _, name := range []string{"profile", "trace", "heap", "goroutine", "symbol", "none", ""} {
		for _, seconds := range []string{"86400", "31", "0", "-1", "", "x", "1.5", "NaN", "1e300", "99999999999999999999", "31&seconds=1"} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // a profile would end then
			r := httptest.NewRequestWithContext(ctx, "GET", "/debug/pprof/"+name+"?seconds="+seconds, nil)
			r.Header.Set("Authorization", "Bearer "+wiretest.AdminToken)
			w := httptest.NewRecorder()
			g.admin.ServeHTTP(w, r)
			cancel()
			if expect(t, w, 400, `{"seconds":["Give a whole number from 1 to 30."],"code":"invalid"}`); t.Failed() {
				t.Fatalf("%s?seconds=%s", name, seconds)
			}
		}
	}
	if w := do(g.admin, "GET", "/debug/pprof/trace?seconds=1", "", adminHeader); w.Code != 200 || w.Body.Len() == 0 {
		t.Errorf("a trace of a second: got status %d and %d bytes, want 200 and the trace", w.Code, w.Body.Len())
	}
}

// TestOneProfileAtATime checks that a second profile that takes time is refused, also by the
// Server of new settings, and that snapshots are not. A profile ends when its client leaves.
func TestOneProfileAtATime(t *testing.T) {
	process := api.NewProcess()
	shared := options{change: func(o *api.Options) { o.Process = process }}
	first, second := newGateway(t, shared), newGateway(t, shared)
	ctx, leave := context.WithCancel(context.Background())
	begun := &firstWrite{ResponseRecorder: httptest.NewRecorder(), written: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		r := httptest.NewRequestWithContext(ctx, "GET", "/debug/pprof/trace?seconds=30", nil)
		r.Header.Set("Authorization", "Bearer "+wiretest.AdminToken)
		first.admin.ServeHTTP(begun, r)
	})
	<-begun.written
	for _, path := range []string{"/debug/pprof/profile", "/debug/pprof/trace", "/debug/pprof/trace?seconds=1", "/debug/pprof/heap?seconds=1"} {
		w := do(second.admin, "GET", path, "", adminHeader)
		expect(t, w, 503, `{"detail":"Another profile is being taken. Try again later.","code":"busy"}`)
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: got no Retry-After", path)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?gc=1"} {
		expect(t, do(second.admin, "GET", path, "", adminHeader), 200, "*")
	}
	leave()
	running.Wait()
	expect(t, do(second.admin, "GET", "/debug/pprof/heap?seconds=1", "", adminHeader), 200, "*")
}

// firstWrite reports the first piece of an answer.
type firstWrite struct {
	*httptest.ResponseRecorder
	once    sync.Once
	written chan struct{}
}

func (w *firstWrite) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.written) })
	return len(b), nil
}

// TestOneSnapshotAtATime takes a snapshot that its client does not read. Another one is refused
// meanwhile. The client has a few seconds, and not as long as for other answers.
func TestOneSnapshotAtATime(t *testing.T) {
	block := &blockedWriter{ResponseRecorder: httptest.NewRecorder(), entered: make(chan struct{}), release: make(chan struct{})}
	g := newGateway(t, options{})
	var running sync.WaitGroup
	running.Go(func() {
		r := httptest.NewRequest("GET", "/debug/pprof/goroutine?debug=2", nil)
		r.Header.Set("Authorization", "Bearer "+wiretest.AdminToken)
		g.admin.ServeHTTP(block, r)
	})
	<-block.entered
	if d := time.Until(block.deadline); d <= 0 || d > 10*time.Second {
		t.Errorf("the client has %s to read, want a few seconds", d)
	}
	expect(t, do(g.admin, "GET", "/debug/pprof/heap", "", adminHeader), 503, "*")
	close(block.release)
	running.Wait()
	expect(t, do(g.admin, "GET", "/debug/pprof/heap", "", adminHeader), 200, "*")
}

// blockedWriter is a connection whose client does not read.
type blockedWriter struct {
	*httptest.ResponseRecorder
	once             sync.Once
	entered, release chan struct{}
	deadline         time.Time
}

func (w *blockedWriter) SetWriteDeadline(d time.Time) error {
	w.deadline = d
	return nil
}

func (w *blockedWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.entered); <-w.release })
	return len(b), nil
}

// TestScrapesAreBounded checks that only some scrapes are answered at a time.
func TestScrapesAreBounded(t *testing.T) {
	g := newGateway(t, options{})
	slow := &slowCollector{entered: make(chan struct{}, 16), release: make(chan struct{})}
	must(t, g.registry.Register(slow))
	const most = 4
	var running sync.WaitGroup
	codes := make(chan int, most)
	for range most {
		running.Go(func() { codes <- do(g.admin, "GET", "/metrics", "").Code })
	}
	for range most {
		<-slow.entered
	}
	expect(t, do(g.admin, "GET", "/metrics", ""), 503, "*")
	close(slow.release)
	running.Wait()
	for range most {
		if code := <-codes; code != 200 {
			t.Errorf("got status %d, want 200", code)
		}
	}
	if w := do(g.admin, "GET", "/metrics", ""); !strings.Contains(w.Body.String(), `tokengate_requests_total{code="busy",endpoint="metrics"} 1`) {
		t.Error("the refused scrape is not counted")
	}
}

// TestUntrustedProxyIsLogged checks that a header of a proxy from a peer that is not trusted is
// logged, once in an hour, by all Servers of a process.
func TestUntrustedProxyIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		header  string
		trusted string
		want    int
	}{
		"not trusted": {"X-Forwarded-For: 198.51.100.1", "", 1}, "the standard header": {"Forwarded: for=198.51.100.1", "", 1},
		"trusted": {"X-Forwarded-For: 198.51.100.1", "192.0.2.0/24", 0}, "no header": {"X-Other: 1", "", 0},
	} {
		process, lines := api.NewProcess(), 0
		for range 2 {
			g := newGateway(t, options{change: func(o *api.Options) { o.Process, o.TrustedProxies = process, networks(t, c.trusted) }})
			for range 3 {
				g.do("POST", "/api/session/refresh/", refreshBody("x"), c.header)
			}
			lines += strings.Count(g.log.String(), "TOKENGATE_TRUSTED_PROXIES")
			if c.want > 0 && lines > 0 && strings.Contains(g.log.String(), "msg=\"a peer") && !strings.Contains(g.log.String(), "peer=192.0.2.1") {
				t.Errorf("%s: the line does not name the peer", name)
			}
		}
		if lines != c.want {
			t.Errorf("%s: got %d warnings, want %d", name, lines, c.want)
		}
	}
}

// networks returns the network of a text, or none if it is empty.
func networks(t *testing.T, text string) []netip.Prefix {
	t.Helper()
	if text == "" {
		return nil
	}
	network, err := netip.ParsePrefix(text)
	must(t, err)
	return []netip.Prefix{network}
}

// slowCollector is a metric that is not read before release is closed.
type slowCollector struct{ entered, release chan struct{} }

func (c *slowCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- prometheus.NewDesc("slow", "Slow.", nil, nil)
}

func (c *slowCollector) Collect(chan<- prometheus.Metric) {
	c.entered <- struct{}{}
	<-c.release
}
