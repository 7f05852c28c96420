package redisstore_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestLostAnswers: when an answer is lost the step has run once, not again by
// the client's own doing, and says that it cannot tell.
func TestLostAnswers(t *testing.T) {
	single := redistest.Standalone(t)
	node := redistest.Cluster(t, 1).Nodes[0]
	viaCluster := newLink(t, node.Addr)
	_, port, _ := net.SplitHostPort(viaCluster.addr)
	node.Do("CONFIG", "SET", "cluster-announce-port", port) // the client goes where the node says that it is
	viaSingle := newLink(t, single.Addr)
	for name, c := range map[string]struct {
		srv *redistest.Server
		via *link
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
