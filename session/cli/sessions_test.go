package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/config"
	"tokengate/session/memstore"
	"tokengate/session/password"
	"tokengate/session/token"
	"tokengate/session/users"
)

// newEngine returns an engine with the app "shop", its user alice (id 1), and sessions
// in memory.
func newEngine(t *testing.T) *session.Engine {
	t.Helper()
	signer, err := token.New(token.Options{App: "shop", SigningKey: strings.Repeat("0123456789abcdef", 2)})
	if err != nil {
		t.Fatal(err)
	}
	alice := session.Account{ID: session.NumberID(1), Username: "alice", Password: password.NewHash("correct horse"), Active: true}
	source, err := users.Static([]session.Account{alice}, users.Options{
		Queue: password.NewQueue(1, time.Minute, nil), DummyKey: []byte("0123456789abcdef"),
	})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := session.New(session.Config{
		Apps: []session.App{{
			Name: "shop", Secrets: []string{"secret"}, Policies: config.DefaultApp().Policies(),
			AccessLifetime: 5 * time.Minute, Signer: signer, Checker: source,
		}},
		Store: memstore.New(memstore.Options{}), Revocations: session.NewRevocationList(5*time.Minute, time.Minute, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func login(t *testing.T, engine *session.Engine, sessionType session.Type) session.ID {
	t.Helper()
	tokens, err := engine.Login(t.Context(), session.LoginRequest{
		Secret: "secret", Username: "alice", Password: "correct horse", Type: string(sessionType), Info: "phone",
	})
	if err != nil {
		t.Fatal(err)
	}
	return tokens.Session
}

func TestSessionsListAndEnd(t *testing.T) {
	engine := newEngine(t)
	revoked, kept := login(t, engine, session.Long), login(t, engine, session.Short)
	var out, warnings bytes.Buffer
	c := sessionsCommand{engine: engine, owner: session.Owner{App: "shop", User: "1"}, operator: "ops", out: &out, err: &warnings}
	if err := c.run(t.Context(), "end", revoked); err != nil || out.String() != "1 ended\n" {
		t.Fatalf("got %q, %v; want 1 session revoked", &out, err)
	}
	out.Reset()
	if err := c.run(t.Context(), "list", ""); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{string(kept), string(revoked), "SHORT", `"phone"`, "operator", "ops", time.Now().UTC().Format("2006-01-02T")} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the table has no %q:\n%s", part, &out)
		}
	}
	out.Reset()
	if err := c.run(t.Context(), "end", ""); err != nil || out.String() != "1 ended\n" {
		t.Errorf("got %q, %v; want all sessions of the user revoked", &out, err)
	}
	if warnings.Len() > 0 {
		t.Errorf("got the warning %q, want none", &warnings)
	}
}

func TestSessionsEndNamesUnknownSession(t *testing.T) {
	c := sessionsCommand{engine: newEngine(t), owner: session.Owner{App: "shop", User: "1"}, operator: "ops", out: &bytes.Buffer{}}
	for _, id := range []session.ID{"nope", session.NewID()} {
		err := c.run(t.Context(), "end", id)
		if want := fmt.Sprintf("user 1 has no session %q", id); session.CodeOf(err) != session.Unknown || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPendingChangeWarns(t *testing.T) {
	for d, want := range map[session.Durability]bool{session.Pending: true, session.Replicated: false, session.NotRequested: false} {
		var out bytes.Buffer
		if warnPending(&out, d); strings.HasPrefix(out.String(), "pending: ") != want {
			t.Errorf("durability %q: got %q, want a warning: %t", d, &out, want)
		}
	}
}
