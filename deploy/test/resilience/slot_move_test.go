package resilience

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestSlotInMotion stops the move of a slot halfway, when each of two nodes has some of a user's keys. Steps
// of the slot's users are 503 then, and never 401. After the move everything goes on.
func TestSlotInMotion(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3)
	from, to, user := c.Nodes[0], c.Nodes[1], userOnFirstMaster(c)
	client := gatewaytest.Start(t, c.URL, unlimitedSettings).Client()
	session := client.Login(t.Context(), user, "LONG", "moved")
	if session.Status != http.StatusOK {
		t.Fatalf("login: got %d %s, want 200", session.Status, session.Body)
	}
	number := from.Do("CLUSTER", "KEYSLOT", bucketPrefix(user))
	slot, _ := strconv.Atoi(number)
	keys := strings.Split(from.Do("CLUSTER", "GETKEYSINSLOT", number, "100"), "\n")
	if len(keys) < 2 {
		t.Fatalf("the slot has the keys %q, want those of a user", keys)
	}
	if err := c.StartMove(slot, from, to, keys[:len(keys)/2]...); err != nil {
		t.Fatal(err)
	}
	_, list := client.List(t.Context(), session.Access)
	for step, got := range map[string]gatewaytest.Response{
		"login":           client.Login(t.Context(), user, "LONG", "second"),
		"refresh":         client.Refresh(t.Context(), "LONG", session.Refresh),
		"list":            list,
		"verify":          client.VerifyRefresh(t.Context(), session.Refresh),
		"destroyAllOther": client.DestroyOthers(t.Context(), session.Access, session.Refresh, "ALL"),
		"logout":          client.Logout(t.Context(), session.Refresh),
	} {
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s while the slot moves: got %d %s, want 503 with Retry-After", step, got.Status, got.Body)
		}
	}
	if got := client.Authz(t.Context(), session.Access); got.Status == http.StatusUnauthorized {
		t.Errorf("authz while the slot moves: got 401 %s", got.Body)
	}
	if err := c.Move(slot, from, to); err != nil {
		t.Fatal(err)
	}
	gatewaytest.WaitUntil(t, time.Minute, "the session goes on", func() bool {
		got := client.Refresh(t.Context(), "LONG", session.Refresh)
		if got.Status == http.StatusUnauthorized {
			t.Fatalf("refresh after the move: got 401 %s", got.Body)
		}
		return got.Status == http.StatusOK
	})
}
