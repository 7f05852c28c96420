package proofs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// scene is where sessions end: one gateway acts, another one hears of it.
type scene struct {
	*testing.T
	server     *redistest.Server
	acts, sees *rig.Gateway
	c          *rig.Client
	user       int
}

func newScene(t *testing.T, s rig.Settings) *scene {
	server := redistest.Standalone(t)
	all := gateways(t, 2, server.URL, with(rig.Settings{"LOG_FORMAT": "json"}, s))
	return &scene{T: t, server: server, acts: all[0], sees: all[1], c: all[0].Client()}
}

func (s *scene) login(sessionType string) rig.Answer {
	s.Helper()
	a := s.c.Login(context.Background(), s.user, sessionType, "device")
	if a.Status != http.StatusOK {
		s.Fatalf("login: %d %s", a.Status, a.Body)
	}
	return a
}

// admin calls the acting gateway's admin API.
func (s *scene) admin(method, path string) rig.Answer {
	s.Helper()
	req, err := http.NewRequest(method, s.acts.AdminURL+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+rig.Secret)
	a := s.c.Do(req)
	if a.Status != http.StatusOK {
		s.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	return a
}

func (s *scene) adminSessions() string {
	return fmt.Sprintf("/admin/apps/%s/users/%d/sessions", rig.App, s.user+1)
}

// acting are the endings that somebody causes. Each ends the session in and
// says who did it; LONG sessions are capped at 2, SHORT ones have no retry window.
var acting = map[session.Cause]func(s *scene, in rig.Answer) (by string){
	session.CauseUser: func(s *scene, in rig.Answer) string {
		s.c.Destroy(s.Context(), s.login("LONG").Access, in.SessionID)
		return ""
	},
	session.CauseOthers: func(s *scene, in rig.Answer) string {
		other := s.login("SHORT")
		s.c.DestroyOthers(s.Context(), other.Access, other.Refresh, "LONG")
		return ""
	},
	session.CauseLogout: func(s *scene, in rig.Answer) string {
		s.c.Logout(s.Context(), in.Refresh)
		return ""
	},
	session.CauseEvicted: func(s *scene, in rig.Answer) string {
		s.login("LONG")
		return s.login("LONG").SessionID
	},
	session.CauseReplay: func(s *scene, in rig.Answer) string {
		s.c.Refresh(s.Context(), "LONG", in.Refresh)
		if a := s.c.Refresh(s.Context(), "LONG", in.Refresh); a.Status != 401 || a.Code != "replayed" || a.Cause != "replay" {
			s.Errorf("the replay itself was answered %d %s", a.Status, a.Body)
		}
		return ""
	},
	session.CauseTypeMismatch: func(s *scene, in rig.Answer) string {
		if a := s.c.Refresh(s.Context(), "SHORT", in.Refresh); a.Status != 401 || a.Cause != "type_mismatch" {
			s.Errorf("the mismatch itself was answered %d %s", a.Status, a.Body)
		}
		return ""
	},
	session.CauseOperator: func(s *scene, in rig.Answer) string {
		s.admin(http.MethodDelete, s.adminSessions()+"/"+in.SessionID+"?by=eve")
		return "eve"
	},
	session.CauseAccount: func(s *scene, in rig.Answer) string {
		s.admin(http.MethodDelete, s.adminSessions()+"?cause=account&by=hr")
		return "hr"
	},
}

var causeSettings = rig.Settings{
	"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "2", "APP_LONG_SESSION_RETRY_WINDOW": "0s",
}

// TestCausesAgree drives every ending that somebody causes. What the user is
// told, the traces, the outbox, the other instances, the metric and the log all
// name the same cause.
func TestCausesAgree(t *testing.T) {
	t.Parallel()
	s := newScene(t, causeSettings)
	for _, cause := range session.Causes {
		drive, ok := acting[cause]
		if !ok {
			continue
		}
		t.Run(string(cause), func(t *testing.T) {
			one := *s
			one.T = t
			s.user++
			one.user = s.user
			before := one.counted(cause)
			in := one.login("LONG")
			by := drive(&one, in)
			one.agree(in, cause, by)
			if n := one.counted(cause) - before; n != 1 {
				t.Errorf("the metric counted %v endings, want 1", n)
			}
		})
	}
}

// agree looks at every surface that tells how a session ended.
func (s *scene) agree(in rig.Answer, cause session.Cause, by string) {
	s.Helper()
	word := string(cause)
	if a := s.sees.Client().Refresh(s.Context(), "LONG", in.Refresh); a.Status != 401 || a.Code != "ended" || a.Cause != word {
		s.Errorf("refresh: %d %s", a.Status, a.Body)
	}
	if trace := in.SessionID + "|" + word + "|" + by; !slices.Contains(strings.Split(s.server.Do("ZRANGE", keyOf(s.user, "gone"), "0", "-1"), "\n"), trace) {
		s.Errorf("gone has no %q", trace)
	}
	if shown := string(s.admin(http.MethodGet, s.adminSessions()).Body); !strings.Contains(shown, fmt.Sprintf(`{"session_id":%q,"cause":%q,"by":%q`, in.SessionID, word, by)) {
		s.Errorf("an operator sees %s", shown)
	}
	if !slices.ContainsFunc(outbox(s.server, s.user), func(e entry) bool {
		return e.cause == word && e.by == by && e.app == rig.App && slices.Contains(e.ids, in.SessionID)
	}) {
		s.Errorf("the outbox holds %v", outbox(s.server, s.user))
	}
	eventually(s, time.Second, "the other instance refuses the access token", func() bool {
		return s.sees.Client().Authz(s.Context(), in.Access).Status == http.StatusUnauthorized
	})
	eventually(s, time.Second, "the log tells it", func() bool {
		line := s.logged(in.SessionID, word)
		return line != nil && (by == "" || line["by"] == by)
	})
}

// counted is how many endings the acting gateway has counted under a cause.
func (s *scene) counted(cause session.Cause) (n float64) {
	for series, value := range metrics(s, s.acts) {
		if strings.HasPrefix(series, "tokengate_sessions_ended_total{") && strings.Contains(series, fmt.Sprintf("cause=%q", cause)) {
			n += value
		}
	}
	return n
}

// logged finds the acting gateway's line about an ending.
func (s *scene) logged(id, cause string) map[string]any {
	for line := range strings.Lines(s.acts.Log()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["cause"] != cause {
			continue
		}
		if text, _ := fields["session"].(string); text == id {
			return fields
		}
	}
	return nil
}

// TestAppEnds ends everything of an app: one entry in the outbox of each
// bucket, and every session finds out why.
func TestAppEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	before := s.counted(session.CauseApp)
	in := s.login("LONG")
	time.Sleep(1100 * time.Millisecond) // an access token of the same second is refused, too
	s.admin(http.MethodDelete, "/admin/apps/"+rig.App+"/sessions?by=eve")
	if a := s.sees.Client().Refresh(t.Context(), "LONG", in.Refresh); a.Status != 401 || a.Code != "ended" || a.Cause != "app" {
		t.Errorf("refresh: %d %s", a.Status, a.Body)
	}
	for bucket := range 64 {
		entries := allEndings(s.server, fmt.Sprintf("tg:{%s:%02x}:endings", rig.App, bucket))
		if len(entries) != 1 || entries[0].cause != "app" || entries[0].app != rig.App {
			t.Errorf("the outbox of bucket %d holds %v", bucket, entries)
		}
	}
	if shown := string(s.admin(http.MethodGet, s.adminSessions()).Body); !strings.Contains(shown, fmt.Sprintf(`{"session_id":%q,"cause":"app"`, in.SessionID)) {
		t.Errorf("an operator sees %s", shown)
	}
	eventually(t, time.Second, "the other instance refuses the access token", func() bool {
		return s.sees.Client().Authz(t.Context(), in.Access).Status == http.StatusUnauthorized
	})
	if n := s.counted(session.CauseApp) - before; n != 1 {
		t.Errorf("the metric counted %v endings, want 1", n)
	}
	if line := s.logged("", "app"); line == nil || line["by"] != "eve" {
		t.Errorf("the log says %v", line)
	}
	if again := s.login("LONG"); s.c.Authz(t.Context(), again.Access).Status != http.StatusOK && s.c.Refresh(t.Context(), "LONG", again.Refresh).Status != http.StatusOK {
		t.Error("a login after it is over, too")
	}
}

// TestTimeEnds lets sessions run out. Nobody acts, so it is answered and not
// told; the leeway lets the token reach the store, and a second session keeps
// the keys alive.
func TestTimeEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t, rig.Settings{
		"APP_LEEWAY": "1m", "APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME": "2s", "APP_LONG_SESSION_ABSOLUTE_LIFETIME": "3s",
		"APP_LONG_SESSION_EXTEND_SESSION": "true", "APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME": "true",
	})
	start := time.Now().Truncate(time.Second).Add(time.Second)
	at := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }
	at(50 * time.Millisecond)
	left, kept := s.login("LONG"), s.login("LONG")
	at(1050 * time.Millisecond)
	if kept = s.c.Refresh(t.Context(), "LONG", kept.Refresh); kept.Status != http.StatusOK {
		t.Fatalf("the session was not extended: %d %s", kept.Status, kept.Body)
	}
	for i, token := range []string{left.Refresh, kept.Refresh} {
		cause := []session.Cause{session.CauseExpired, session.CauseAbsolute}[i]
		at(time.Duration(i+1)*time.Second + 600*time.Millisecond)
		s.login("LONG")
		at(time.Duration(i+2)*time.Second + 50*time.Millisecond)
		a := s.c.Refresh(t.Context(), "LONG", token)
		if a.Status != http.StatusUnauthorized || a.Cause != string(cause) {
			t.Errorf("%s: refresh was answered %d %s", cause, a.Status, a.Body)
		}
		if n := s.counted(cause); n != 0 || len(outbox(s.server, s.user)) != 0 || s.server.Do("EXISTS", keyOf(s.user, "gone")) != strconv.Itoa(0) {
			t.Errorf("%s was told of, though nobody acted", cause)
		}
	}
}
