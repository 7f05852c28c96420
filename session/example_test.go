package session_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/password"
	"tokengate/session/token"
	"tokengate/session/users"
)

// newShop returns the engine of one app, "shop", with one user, alice. Its sessions are
// kept in memory; to share them among instances, use a store of package redisstore.
func newShop(now func() time.Time) *session.Engine {
	signer, err := token.New(token.Options{App: "shop", SigningKey: "a signing key has at least 32 bytes"})
	if err != nil {
		log.Fatal(err)
	}
	source, err := users.Static([]session.Account{
		{ID: session.NumberID(1), Username: "alice", Password: password.NewHash("correct horse"), Active: true},
	}, users.Options{Queue: password.NewQueue(0, 0, nil), DummyKey: []byte("a secret, the same on all instances")})
	if err != nil {
		log.Fatal(err)
	}
	policy := session.Policy{
		Lifetime: 30 * 24 * time.Hour, AbsoluteLifetime: 90 * 24 * time.Hour,
		Rotate: true, ReuseDetection: true, RetryWindow: 30 * time.Second,
		Limit: true, Max: 5, DestroyOldest: true,
	}
	store := memstore.New(memstore.Options{Now: now})
	engine, err := session.New(session.Config{
		Apps: []session.App{{
			Name: "shop", Secrets: []string{"the secret of the shop"}, AccessLifetime: 5 * time.Minute,
			Policies: map[session.Type]session.Policy{session.Long: policy, session.Short: policy},
			Signer:   signer, Devices: signer, Checker: source, AccountKey: users.AccountKey([]byte("a secret, the same on all instances")),
		}},
		Store:       store,
		Limiter:     store.Limiter(),
		Revocations: session.NewRevocationList(5*time.Minute, 10*time.Second, now),
		Now:         now,
	})
	if err != nil {
		log.Fatal(err)
	}
	return engine
}

// A user logs in on two devices, and then logs out one of them from the other.
func Example() {
	ctx := context.Background()
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	engine := newShop(func() time.Time { return now })
	login := func(device string) session.Tokens {
		tokens, err := engine.Login(ctx, session.LoginRequest{
			Secret: "the secret of the shop", Username: "alice", Password: "correct horse", Type: "LONG", Info: device,
		})
		if err != nil {
			log.Fatal(err)
		}
		return tokens
	}
	phone := login("phone")
	now = now.Add(time.Minute)
	laptop := login("laptop")

	caller, err := engine.Authenticate(ctx, laptop.Access)
	if err != nil {
		log.Fatal(err)
	}
	listed, _, err := engine.List(ctx, caller, "ALL")
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range listed.Sessions {
		fmt.Println(s.Info, "until", s.Expires.Format(time.DateOnly))
	}
	if _, err := engine.Destroy(ctx, caller, string(phone.Session)); err != nil {
		log.Fatal(err)
	}
	_, err = engine.Refresh(ctx, session.RefreshRequest{Secret: "the secret of the shop", Type: "LONG", Token: phone.Refresh})
	fmt.Println("phone:", session.CodeOf(err), session.CauseOf(err))
	// Output:
	// phone until 2030-02-01
	// laptop until 2030-02-01
	// phone: ended user
}
