package haproxy_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// TestRedisAway: when Redis stalls or is gone, the gateways are still the ones
// to answer: what needs Redis with their own 503, the rest as ever.
func TestRedisAway(t *testing.T) {
	redis := redistest.Standalone(t)
	s := open(t, redis.URL+"?read_timeout=500ms", rig.Settings{"REVOCATION_BOUND": "1m"})
	time.Sleep(settle)
	login := s.client.Login(context.Background(), 0, "LONG", "laptop")
	if login.Status != http.StatusOK {
		t.Fatalf("login: %d %s", login.Status, login.Body)
	}
	redis.Do("CLIENT", "PAUSE", "60000", "ALL")
	s.withoutRedis(t, "Redis stalls", login)
	redis.Kill()
	s.withoutRedis(t, "Redis is gone", login)
	redis.Restart()
	time.Sleep(settle)
	if a := s.client.Login(context.Background(), 0, "LONG", "laptop"); a.Status != http.StatusOK {
		t.Errorf("Redis is back, and a login gets %d %s", a.Status, a.Body)
	}
}

// withoutRedis asks often enough for each gateway to have its turn, once the
// balancer has had the time to notice: its check may take 1 s.
func (s *site) withoutRedis(t *testing.T, when string, login rig.Answer) {
	t.Helper()
	time.Sleep(time.Second + settle)
	ctx := context.Background()
	for range 2 * len(s.gateways) {
		if a := s.client.Refresh(ctx, "LONG", login.Refresh); a.Status != http.StatusServiceUnavailable ||
			a.Code != "unavailable" || a.Header.Get("Retry-After") == "" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: a refresh gets %d %v %s %v", when, a.Status, a.Header, a.Body, a.Err)
		}
		if a := s.client.Authz(ctx, login.Access); a.Status != http.StatusOK {
			t.Errorf("%s: forward-auth gets %d %s %v", when, a.Status, a.Body, a.Err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.URL+"/apps/"+rig.App+"/jwks.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := s.client.Do(req); a.Status != http.StatusOK {
			t.Errorf("%s: jwks.json gets %d %s %v", when, a.Status, a.Body, a.Err)
		}
	}
}
