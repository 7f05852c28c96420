package memstore_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

// The store applies a policy that allows two sessions: the third login evicts the first
// session, and a tombstone says why that has ended.
func ExampleStore() {
	ctx := context.Background()
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	store := memstore.New(memstore.Options{Now: func() time.Time { return now }})
	alice := session.Owner{App: "shop", User: "1"}
	policy := session.Policy{
		Lifetime: 30 * 24 * time.Hour, AbsoluteLifetime: 90 * 24 * time.Hour, Limit: true, Max: 2, DestroyOldest: true,
	}
	for _, device := range []string{"phone", "laptop", "tablet"} {
		created, err := store.Create(ctx, session.CreateStep{Owner: alice, Policy: policy, Session: session.Session{
			ID: session.NewID().WithType(session.Long), Type: session.Long, Secret: session.NewSecret(), Info: device,
		}})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("login:", device, "evicts", len(created.Revoked))
		now = now.Add(time.Minute)
	}
	listed, err := store.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range listed.Sessions {
		fmt.Println("live:", s.Info)
	}
	tombstones, err := store.Tombstones(ctx, alice)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range tombstones {
		fmt.Println("revoked:", t.Cause, "at", t.At.Format(time.TimeOnly))
	}
	// Output:
	// login: phone evicts 0
	// login: laptop evicts 0
	// login: tablet evicts 1
	// live: laptop
	// live: tablet
	// revoked: evicted at 12:02:00
}
