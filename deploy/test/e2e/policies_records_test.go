package e2e

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// record is the record of a session of gatewaytest.App in Redis.
type record struct {
	t      *testing.T
	server *redistest.Server
	key    string // of the hash with the records of one user and type
	field  string // of the record: the session's id, or its beginning
}

// recordOf returns the record of a session of a user.
func recordOf(t *testing.T, server *redistest.Server, s *clientSession, userID int) record {
	t.Helper()
	bucket := fnv.New32a()
	fmt.Fprint(bucket, userID)
	r := record{t: t, server: server, key: fmt.Sprintf("tg:{%s:%02x}:data:%s:%d", gatewaytest.App, bucket.Sum32()%64, s.sessionType, userID)}
	for _, field := range strings.Split(server.Do("HKEYS", r.key), "\n") {
		if strings.HasPrefix(s.id, field) {
			r.field = field
		}
	}
	if r.field == "" {
		t.Fatalf("%s has no record of %s", r.key, s.id)
	}
	return r
}

func (r record) read(field string) string { return r.server.Do("HGET", r.key, field) }

func (r record) write(field, value string) {
	r.t.Helper()
	redisInt(r.t, r.server, "HSET", r.key, field, value)
}

// lengthen makes the record one of a later version: its first byte, the version, is one higher,
// and more bytes follow.
func (r record) lengthen(more string) {
	r.t.Helper()
	raw := []byte(r.read(r.field))
	raw[0]++
	r.write(r.field, string(raw)+more)
}

// unknownFields are fields of a later version in the hash with the records, beside a record's
// field.
func unknownFields(field string) map[string]string {
	return map[string]string{
		"x": "1", "version": "\x02", field + "x": "more about the session", field + "\x00": "\x00\xff", field[:len(field)-1] + "?": strings.Repeat("y", 48),
		strings.Repeat("z", len(field)): strings.Repeat("z", 200), strings.Repeat("q", len(field)) + "i": "info of no session",
	}
}

// TestP2UnknownBytesAreKept checks that the gateway works with records of a later version and
// with unknown fields beside them, and that it keeps what it does not know.
func TestP2UnknownBytesAreKept(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := startShop(t, server.URL, gatewaytest.Settings{"APP_SHORT_SESSION_EXTEND_SESSION": "true", "APP_SHORT_SESSION_EXTEND_SESSION_EVERY_TIME": "true"})
	for name, more := range map[string]string{
		"no more bytes": "", "1 byte": "\x01", "6 bytes": "\xff\x00\xfe\x00\r\n", "8 bytes": "\x00\x00\x00\x00\x00\x00\x00\x00",
		"16 bytes": "0123456789abcdef", "64 bytes": strings.Repeat("\xa5", 64),
	} {
		for _, sessionType := range []string{"LONG", "SHORT"} {
			user := len(more) % gatewaytest.Users
			s := login(t, g.Client(), gatewaytest.Username(user), gatewaytest.Password, sessionType)
			other := login(t, g.Client(), gatewaytest.Username(user), gatewaytest.Password, sessionType)
			r := recordOf(t, server, s, user+1)
			for field, value := range unknownFields(r.field) {
				r.write(field, value)
			}
			s.checkLive(name + ": unknown fields")
			for field, value := range unknownFields(r.field) {
				if got := r.read(field); got != value {
					t.Errorf("%s: the field %q is %q after a refresh, want %q", name, field, got, value)
				}
			}
			before := r.read(r.field)
			r.lengthen(more)
			spent := s.refresh
			s.checkLive(name + ": a longer record")
			for range 2 {
				if after := r.read(r.field); !strings.HasSuffix(after, more) || len(after) != len(before)+len(more) || after[0] != before[0]+1 {
					t.Errorf("%s: the record is %q after a refresh, want %q at its end and one version more than %q", name, after, more, before)
				}
				s.checkLive(name + ": a longer record")
			}
			checkStepsOfSession(t, g, s, other, user+1, name)
			checkUnauthorized(t, s.c.Refresh(t.Context(), sessionType, spent), "replayed", "replay", name+": replay")
		}
	}
}

// checkStepsOfSession calls the other endpoints with a session and with another of its user,
// which ends.
func checkStepsOfSession(t *testing.T, g *gatewaytest.Gateway, s, other *clientSession, userID int, name string) {
	t.Helper()
	ctx := t.Context()
	before := s.refresh
	requireStatus(t, http.StatusOK, s.tryRefresh(), name+": refresh")
	if retried := requireStatus(t, http.StatusOK, s.c.Refresh(ctx, s.sessionType, before), name+": retry"); retried.Refresh != s.refresh {
		t.Errorf("%s: the retry did not get the successor", name)
	}
	requireStatus(t, http.StatusOK, verifyToken(t, s.c, s.refresh, "refresh", ""), name+": verify")
	path := fmt.Sprintf("/admin/apps/%s/users/%d/sessions", gatewaytest.App, userID)
	resp := requireStatus(t, http.StatusOK, sendAsAdmin(t, g, http.MethodGet, path), name+": the admin API's list")
	if !strings.Contains(string(resp.Body), s.id) || !strings.Contains(string(resp.Body), other.id) || strings.Contains(string(resp.Body), "more about the session") {
		t.Errorf("%s: the admin API's list is %s, want both sessions", name, resp.Body)
	}
	other.checkLive(name + ": another session of the user")
	requireStatus(t, http.StatusOK, s.c.DestroyOthers(ctx, s.access, s.refresh, "ALL"), name+": destroy all others")
	other.checkEnded("others", name+": refresh after destroy all others")
	s.checkLive(name + ": after destroy all others")
}

// TestP2RecordsOfLaterVersionsEnd checks that sessions with records of a later version count at
// the maximum, and that each way to end one works.
func TestP2RecordsOfLaterVersionsEnd(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := startShop(t, server.URL, gatewaytest.Settings{"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "2"})
	c, user := g.Client(), 0
	lengthened := func() *clientSession {
		t.Helper()
		s := login(t, c, gatewaytest.Username(user), gatewaytest.Password, "LONG")
		r := recordOf(t, server, s, user+1)
		r.write("x", "unknown")
		r.lengthen("12345678")
		return s
	}
	for cause, end := range map[string]func(s *clientSession) gatewaytest.Response{
		"logout": func(s *clientSession) gatewaytest.Response { return c.Logout(t.Context(), s.refresh) },
		"user":   func(s *clientSession) gatewaytest.Response { return c.Destroy(t.Context(), s.access, s.id) },
		"operator": func(s *clientSession) gatewaytest.Response {
			return sendAsAdmin(t, g, http.MethodDelete, fmt.Sprintf("/admin/apps/%s/users/%d/sessions", gatewaytest.App, user+1))
		},
		"app": func(*clientSession) gatewaytest.Response {
			return sendAsAdmin(t, g, http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/sessions")
		},
		"evicted": func(*clientSession) gatewaytest.Response {
			lengthened()
			return tryLogin(t, c, gatewaytest.Username(user), gatewaytest.Password, "LONG")
		},
	} {
		user++
		s := lengthened()
		requireStatus(t, http.StatusOK, end(s), "step with the cause "+cause)
		s.checkEnded(cause, "refresh of a session with a longer record")
		s.authzUntilRejected(cause)
		login(t, c, gatewaytest.Username(user), gatewaytest.Password, "LONG").checkLive("next session of the user")
	}
	user++
	wrongType := lengthened()
	requireStatus(t, http.StatusUnauthorized, c.Refresh(t.Context(), "SHORT", wrongType.refresh), "refresh as another type")
	wrongType.checkEnded("type_mismatch", "refresh after one as another type")
}
