package token_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"tokengate/session"
	"tokengate/session/token"
)

// stoppedClock implements [session.Clock] with a time that does not pass.
type stoppedClock time.Time

func (c stoppedClock) Now() time.Time                             { return time.Time(c) }
func (c stoppedClock) StoreNow(session.UserID) (time.Time, error) { return time.Time(c), nil }

// A token is valid until it expires, and only as the kind that it was issued for.
func ExampleNew() {
	signer, err := token.New(token.Options{App: "shop", SigningKey: "a signing key has at least 32 bytes"})
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	access, err := signer.Sign(session.Claims{
		Kind: session.KindAccess, User: session.NumberID(42), Session: session.NewID(),
		Issued: now, Expires: now.Add(5 * time.Minute), AuthTime: now, Extra: json.RawMessage(`{"role":"admin"}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := signer.Verify(access, session.KindAccess, stoppedClock(now))
	fmt.Println(session.CodeOf(err), "user", claims.User, "until", claims.Expires.UTC().Format(time.TimeOnly))

	_, err = signer.Verify(access, session.KindRefresh, stoppedClock(now))
	fmt.Println(session.CodeOf(err))
	_, err = signer.Verify(access, session.KindAccess, stoppedClock(now.Add(5*time.Minute)))
	fmt.Println(session.CodeOf(err))
	// Output:
	// ok user 42 until 12:05:00
	// token_wrong_kind
	// token_invalid
}
