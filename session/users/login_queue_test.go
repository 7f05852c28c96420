package users

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
	"tokengate/session/fairqueue"
	"tokengate/session/password"
)

// slowSource is a source that has users in memory, but finds them only when it may.
type slowSource struct {
	*userList
	searches atomic.Int64
	mayFind  chan struct{}
}

func (s *slowSource) find(ctx context.Context, username string) (session.Account, error) {
	s.searches.Add(1)
	select {
	case <-s.mayFind:
		return s.userList.find(ctx, username)
	case <-ctx.Done():
		return session.Account{}, unavailable(ctx.Err())
	}
}

// openSlow returns a source of one app that finds its users when mayFind is closed.
func openSlow(t *testing.T, app string, queue *password.Queue) (*Source, *slowSource) {
	t.Helper()
	source := openStatic(t, testUsers(t), Options{Queue: queue, App: app})
	c, _ := source.Checker.(*hashChecker)
	list, _ := c.accounts.(*userList)
	slow := &slowSource{userList: list, mayFind: make(chan struct{})}
	c.accounts = slow
	return source, slow
}

// fill gives some logins of a network of the app shop a place.
func fill(t *testing.T, queue *password.Queue, network string, logins int) {
	t.Helper()
	for range logins {
		_, place, err := queue.Enter(t.Context(), fairqueue.Client{App: "shop", Network: network}, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(place.Leave)
	}
}

// from returns what the user alice presents in a network.
func from(network string) session.Credentials {
	return session.Credentials{Username: "alice", Password: "correct horse", Network: network}
}

// TestFullQueueIsNoticedBeforeSource checks that the source is not asked, and found not called,
// for a login that gets no place in the hash queue.
func TestFullQueueIsNoticedBeforeSource(t *testing.T) {
	queue := password.NewQueue(1, time.Minute, nil)
	source, slow := openSlow(t, "shop", queue)
	close(slow.mayFind)
	fill(t, queue, "192.0.2.1", fairqueue.DefaultPlaces)
	_, err := source.Check(t.Context(), from("192.0.2.1"), func(session.Found) error { t.Error("found was called"); return nil })
	wantCode(t, err, session.Busy)
	if n := slow.searches.Load(); n != 0 {
		t.Errorf("the source was asked %d times, want 0", n)
	}
	_, err = source.Check(t.Context(), from("192.0.2.2"), anyone)
	wantCode(t, err, session.OK) // another network
	bank, other := openSlow(t, "bank", queue)
	close(other.mayFind)
	fill(t, queue, "192.0.2.1", 1) // that of the login of the other network, which has ended
	_, err = bank.Check(t.Context(), from("192.0.2.1"), anyone)
	wantCode(t, err, session.OK) // another app
}

// TestLoginLosesItsPlace checks that a login whose place another app gets while its user is
// looked for fails with Busy, and that the search ends.
func TestLoginLosesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := password.NewQueue(1, time.Minute, nil)
		shop, slow := openSlow(t, "shop", queue)
		bank, other := openSlow(t, "bank", queue)
		close(other.mayFind)
		codes := make(chan session.Code, fairqueue.DefaultPlaces)
		for range fairqueue.DefaultPlaces {
			go func() {
				_, err := shop.Check(t.Context(), from(""), anyone)
				codes <- session.CodeOf(err)
			}()
		}
		synctest.Wait()
		_, err := bank.Check(t.Context(), from(""), anyone)
		wantCode(t, err, session.OK)
		synctest.Wait()
		if len(codes) != 1 || <-codes != session.Busy {
			t.Errorf("%d other logins have failed, want one, with busy", len(codes))
		}
		close(slow.mayFind)
		for range fairqueue.DefaultPlaces - 1 {
			if code := <-codes; code != session.OK {
				t.Errorf("got %s, want ok", code)
			}
		}
	})
}

// TestStormOfOneAppOrNetwork checks that a login waits for at most one other app's, and one
// other network's, while a thousand logins of another wait before it.
func TestStormOfOneAppOrNetwork(t *testing.T) {
	// A login is counted after it has given up its turn. On one processor, others seldom come
	// between.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		queue := password.NewQueue(1, time.Minute, nil)
		sources := map[string]*Source{}
		for _, app := range []string{"shop", "bank"} {
			sources[app] = openStatic(t, testUsers(t), Options{Queue: queue, App: app})
		}
		release := make(chan struct{})
		go func() { _ = queue.Do(t.Context(), 1, func() { <-release }) }()
		synctest.Wait()
		var served, first, second atomic.Int64
		var wg sync.WaitGroup
		login := func(app, network string, order *atomic.Int64) {
			wg.Go(func() {
				_, err := sources[app].Check(t.Context(), from(network), anyone)
				if n := served.Add(1); order != nil {
					order.Store(n)
					wantCode(t, err, session.OK)
				}
			})
			synctest.Wait()
		}
		for range 1000 {
			login("shop", "192.0.2.1", nil)
		}
		login("bank", "192.0.2.1", &first)
		login("shop", "192.0.2.2", &second)
		close(release)
		wg.Wait()
		if first.Load() > 5 || second.Load() > 5 { // turns 2 and 3; logins that end at once may end in another order
			t.Errorf("the other app was served as number %d and the other network as number %d of %d, want 2 and 3", first.Load(), second.Load(), served.Load())
		}
	})
}

// TestLongUsernames checks that a username that no user can have is refused without a search,
// and that sources do not accept it.
func TestLongUsernames(t *testing.T) {
	longest := strings.Repeat("é", maxUsername/2)
	if err := ValidateUsername(longest); err != nil {
		t.Error(err)
	}
	if err := ValidateUsername(longest + "x"); err == nil || !strings.Contains(err.Error(), "longer than 1024 bytes") {
		t.Errorf("got error %v, want one about 1024 bytes", err)
	}
	source, slow := openSlow(t, "shop", password.NewQueue(1, time.Minute, nil))
	close(slow.mayFind)
	u := startUpstream(t)
	refused := errors.New("not now")
	for kind, s := range map[string]*Source{"static": source, "http": openSource(t, u.URL, Options{})} {
		for name, asked := range map[string]bool{longest: true, longest + "x": false, strings.Repeat("x", 60<<10): false} {
			slow.searches.Store(0)
			u.requests.Store(0)
			_, err := s.Check(t.Context(), presented(name, "wrong"), anyone)
			wantCode(t, err, session.InvalidCredentials)
			if n := slow.searches.Load() + u.requests.Load(); (n > 0) != asked {
				t.Errorf("%s: a name of %d bytes: the source was asked %d times", kind, len(name), n)
			}
			if _, err := s.Check(t.Context(), presented(name, "wrong"), func(session.Found) error { return refused }); !errors.Is(err, refused) {
				t.Errorf("%s: a name of %d bytes: got %v, want the error of found", kind, len(name), err)
			}
		}
	}
}

// busyUpstream is an HTTP source that answers no login before the test lets it.
type busyUpstream struct {
	*httptest.Server
	now, most, all atomic.Int64 // requests
	connections    atomic.Int64
	answer         chan struct{}
}

func startBusyUpstream(t *testing.T) *busyUpstream {
	t.Helper()
	u := &busyUpstream{answer: make(chan struct{})}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return
		}
		u.all.Add(1)
		n := u.now.Add(1)
		for most := u.most.Load(); n > most && !u.most.CompareAndSwap(most, n); most = u.most.Load() {
		}
		<-u.answer
		u.now.Add(-1)
		_, _ = w.Write([]byte(`{"user_id":7}`))
	}))
	u.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			u.connections.Add(1)
		}
	}
	u.Start()
	t.Cleanup(u.Close)
	return u
}

// TestUpstreamIsAskedAboutFewLogins checks that at most 64 requests are on their way to an HTTP
// source, on as many connections, that the others wait in fair turns, and that ping does not.
func TestUpstreamIsAskedAboutFewLogins(t *testing.T) {
	u := startBusyUpstream(t)
	source := openSource(t, u.URL, Options{App: "shop", Timeout: time.Minute})
	h, _ := source.Checker.(*httpSource)
	h.logins = fairqueue.New(fairqueue.Options{Slots: maxUpstream, Wait: time.Minute})
	var wg sync.WaitGroup
	for range 4 * maxUpstream {
		wg.Go(func() {
			_, err := source.Check(t.Context(), from("192.0.2.1"), anyone)
			wantCode(t, err, session.OK)
		})
	}
	waitFor(t, "as many requests as may be", func() bool { return u.now.Load() == maxUpstream })
	if err := source.Ping(t.Context()); err != nil {
		t.Errorf("ping while the source is busy: %v", err)
	}
	close(u.answer)
	wg.Wait()
	if u.most.Load() != maxUpstream || u.all.Load() != 4*maxUpstream {
		t.Errorf("got %d requests, at most %d of them at once; want %d and %d", u.all.Load(), u.most.Load(), 4*maxUpstream, maxUpstream)
	}
	if n := u.connections.Load(); n > maxUpstream+1 {
		t.Errorf("got %d connections, want at most %d", n, maxUpstream+1)
	}
}

// TestUpstreamQueueIsBounded checks that logins fail with Busy when they have waited long for an
// HTTP source, and at once if too many wait.
func TestUpstreamQueueIsBounded(t *testing.T) {
	u := startBusyUpstream(t)
	source := openSource(t, u.URL, Options{App: "shop", Timeout: time.Minute})
	t.Cleanup(func() { close(u.answer) })
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	for range maxUpstream {
		wg.Go(func() { _, _ = source.Check(ctx, from("192.0.2.1"), anyone) })
	}
	waitFor(t, "as many requests as may be", func() bool { return u.now.Load() == maxUpstream })
	var busy atomic.Int64
	start := time.Now()
	for range 2 * fairqueue.DefaultPlaces {
		wg.Go(func() {
			_, err := source.Check(ctx, from("192.0.2.1"), anyone)
			wantCode(t, err, session.Busy)
			busy.Add(1)
		})
	}
	waitFor(t, "half of the logins fail at once", func() bool { return busy.Load() >= fairqueue.DefaultPlaces })
	if busy.Load() == 2*fairqueue.DefaultPlaces && time.Since(start) < time.Second {
		t.Error("no login has waited")
	}
	waitFor(t, "all of them fail", func() bool { return busy.Load() == 2*fairqueue.DefaultPlaces })
	if took := time.Since(start); took < fairqueue.DefaultWait {
		t.Errorf("the last login failed after %s, want %s", took, fairqueue.DefaultWait)
	}
	if u.all.Load() != maxUpstream {
		t.Errorf("got %d requests, want %d", u.all.Load(), maxUpstream)
	}
}
