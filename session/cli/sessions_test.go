package cli

import (
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

func TestSessionsListAndEnd(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --id 7 --app shop")
	c.must("open sesame", "user add bob --id 8 --app shop")
	for _, how := range []string{"--user 7", "--name alice"} {
		live := c.mustLogin("shop", "7", 3)
		others := append(c.mustLogin("shop", "8", 1), c.sessions("shop", "8")[1:]...)
		if out := c.must("", "sessions end --app shop --session "+string(live[0])+" "+how); out != "1 ended\n" {
			t.Errorf("%s: got %q, want 1 session revoked", how, out)
		}
		c.wantSessions("after the end of one session", "shop", "7", live[1:]...)
		out := c.must("", "sessions list --app shop "+how)
		for _, part := range []string{string(live[0]), string(live[1]), "LONG", `"phone"`, "operator", "cli", time.Now().UTC().Format("2006-01-02T")} {
			if !strings.Contains(out, part) {
				t.Errorf("the table has no %q:\n%s", part, out)
			}
		}
		if out := c.must("", "sessions end --app shop "+how); out != "2 ended\n" {
			t.Errorf("%s: got %q, want all sessions of the user revoked", how, out)
		}
		if out := c.must("", "sessions end --app shop "+how); out != "0 ended\n" {
			t.Errorf("%s: got %q, want 0 for a user without sessions", how, out)
		}
		c.wantSessions("after the end of all sessions of another user", "shop", "8", others...)
		c.must("", "sessions end --user 8 --app shop")
	}
}

// TestSessionsEndOfMany checks the answer if the store does not name the sessions.
func TestSessionsEndOfMany(t *testing.T) {
	c := newCLITest(t)
	c.many = true
	c.must("open sesame", "user add alice --id 7 --app shop")
	c.mustLogin("shop", "7", 3)
	if out := c.must("", "sessions end --app shop --name alice"); out != "3 ended\n" {
		t.Errorf("got %q, want 3 sessions revoked", out)
	}
	c.wantSessions("after the end of all sessions", "shop", "7")
}

func TestSessionsEndNamesUnknownSession(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --id 7 --app shop")
	for _, id := range []session.ID{"nope", session.NewID(), "-AAAAAAAAAAAAAAAAAAAAA"} {
		c.mustFail("", "sessions end --user 7 --app shop --session "+string(id), `user 7 has no session "`+string(id)+`"`)
	}
}

// TestSessionsOfUnknownUser checks that a text which is no user's id or name does not seem to
// have sessions, and that those of a user who was removed can be listed and revoked.
func TestSessionsOfUnknownUser(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --id 7 --app shop")
	live := c.mustLogin("shop", "7", 1)
	for _, verb := range []string{"list", "end"} {
		c.mustFail("", "sessions "+verb+" --app shop --user 9", `no such user: no user of shop has the id "9"`)
		c.mustFail("", "sessions "+verb+" --app shop --user alice", `"alice" is the name of the user with the id 7: give --name alice`)
		c.mustFail("", "sessions "+verb+" --app shop --name carol", `no such user "carol"`)
		c.mustFail("", "sessions "+verb+" --app files --name alice", "--name needs USERS=redis:", "TOKENGATE_APP_FILES_USERS", "give --user ID")
	}
	c.wantSessions("after commands that failed", "shop", "7", live...)
	for _, verb := range []string{"list", "end"} {
		c.mustFail("", "sessions "+verb+" --app files --user 9", `no such user: no user of files has the id "9"`)
	}
	removed := c.mustLogin("shop", "66", 1)
	if out := c.must("", "sessions list --app shop --user 66"); !strings.Contains(out, string(removed[0])) {
		t.Errorf("list of a removed user: got\n%s\nwant the session", out)
	}
	if out := c.must("", "sessions end --app shop --user 66"); out != "1 ended\n" {
		t.Errorf("end of a removed user's sessions: got %q, want 1 ended", out)
	}
	if out := c.must("", "sessions list --app shop --user 66"); !strings.Contains(out, "operator") {
		t.Errorf("list of a removed user's tombstones: got\n%s", out)
	}
}

// TestSessionsEndAll checks that all sessions of an app end only with --all, and those of no
// other app.
func TestSessionsEndAll(t *testing.T) {
	c := newCLITest(t)
	shop, bank := append(c.mustLogin("shop", "7", 1), c.mustLogin("shop", "8", 1)...), c.mustLogin("bank", "7", 1)
	for _, line := range []string{"--app shop", "--app shop --all --user 7", "--app shop --all --session " + string(shop[0]), "--all"} {
		c.mustFail("", "sessions end "+line)
		if err := c.run("", "sessions end "+line); err == nil {
			t.Errorf("sessions end %s succeeds", line)
		}
	}
	c.wantSessions("after commands that failed", "shop", "7", shop[0])
	if out := c.must("", "sessions end --all --app shop"); out != "all sessions of shop ended\n" {
		t.Errorf("got %q", out)
	}
	c.wantSessions("after --all", "shop", "7")
	c.wantSessions("after --all", "shop", "8")
	c.wantSessions("after --all in another app", "bank", "7", bank...)
}
