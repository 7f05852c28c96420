package redisstore_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// lossy passes bytes on to a server, and loses its next answer when told to: the
// connection ends instead, after the server has done what it was asked.
type lossy struct {
	addr   string
	losing atomic.Bool
}

func newLossy(t *testing.T, server string) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossy{addr: l.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client, server) })
		}
	})
	return p
}

func (p *lossy) serve(client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buf)
		if err != nil {
			return
		}
		if p.losing.CompareAndSwap(true, false) {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestLostAnswers: when an answer is lost the step has run once, not again by
// the client's own doing, and says that it cannot tell.
func TestLostAnswers(t *testing.T) {
	single := redistest.Standalone(t)
	node := redistest.Cluster(t, 1).Nodes[0]
	viaCluster := newLossy(t, node.Addr)
	_, port, _ := net.SplitHostPort(viaCluster.addr)
	node.Do("CONFIG", "SET", "cluster-announce-port", port) // the client goes where the node says that it is
	viaSingle := newLossy(t, single.Addr)
	for name, c := range map[string]struct {
		srv *redistest.Server
		via *lossy
		url string
	}{
		"standalone":        {single, viaSingle, "redis://" + viaSingle.addr},
		"pipelined":         {single, viaSingle, "redis://" + viaSingle.addr + "?auto_pipeline=true"},
		"cluster":           {node, viaCluster, "redis+cluster://" + viaCluster.addr},
		"cluster pipelined": {node, viaCluster, "redis+cluster://" + viaCluster.addr + "?auto_pipeline=true"},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := open(t, c.url), session.Owner{App: "shop", User: strings.ReplaceAll(name, " ", "")}
			now := login(t, s, o, long).Session
			spent := now
			now = mustRefresh(t, s, o, now) // loads the script
			var err error
			runs := counts(t, c.srv, func() {
				c.via.losing.Store(true)
				_, err = s.Refresh(ctx, refreshStep(o, now, long))
				time.Sleep(100 * time.Millisecond) // for a second run to come in
			})["evalsha"]
			if session.CodeOf(err) != session.Unavailable || runs != 1 || c.via.losing.Load() {
				t.Fatalf("%v; the script ran %d times", err, runs)
			}
			done, err := s.Refresh(ctx, refreshStep(o, now, long))
			if err != nil || done.Code != session.Retried || done.Session.Generation != spent.Generation+2 {
				t.Errorf("a retry got %+v, %v", done, err)
			}
		})
	}
}

func mustRefresh(t *testing.T, s *redisstore.Store, o session.Owner, now session.Session) session.Session {
	t.Helper()
	done, err := s.Refresh(ctx, refreshStep(o, now, long))
	if err != nil {
		t.Fatal(err)
	}
	return done.Session
}
