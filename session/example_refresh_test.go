package session_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"tokengate/session"
)

// A client that has lost the answer to a refresh sends the same token again. Within the
// retry window of the policy it gets the same successor, so it stays logged in.
func ExampleEngine_Refresh() {
	ctx := context.Background()
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	engine := newShop(func() time.Time { return now }) // see the package example; its retry window is 30 s
	first, err := engine.Login(ctx, session.LoginRequest{
		Secret: "the secret of the shop", Username: "alice", Password: "correct horse", Type: "LONG", Info: "phone",
	})
	if err != nil {
		log.Fatal(err)
	}
	refresh := session.RefreshRequest{Secret: "the secret of the shop", Type: "LONG", Token: first.Refresh}
	lost, err := engine.Refresh(ctx, refresh)
	if err != nil {
		log.Fatal(err)
	}
	now = now.Add(20 * time.Second)
	second, err := engine.Refresh(ctx, refresh)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("same session:", second.Session == first.Session)
	fmt.Println("new refresh token:", second.Refresh != first.Refresh)
	fmt.Println("same as in the lost answer:", second.Refresh == lost.Refresh)
	// Output:
	// same session: true
	// new refresh token: true
	// same as in the lost answer: true
}

// The user and a thief hold the same refresh token. The second of them to refresh presents
// a spent token, and the session is revoked for both, because the gateway cannot know
// which of them is the thief.
func ExampleEngine_Refresh_replay() {
	ctx := context.Background()
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	engine := newShop(func() time.Time { return now }) // see the package example; its retry window is 30 s
	user, err := engine.Login(ctx, session.LoginRequest{
		Secret: "the secret of the shop", Username: "alice", Password: "correct horse", Type: "LONG", Info: "phone",
	})
	if err != nil {
		log.Fatal(err)
	}
	refresh := func(who, token string) session.Tokens {
		tokens, err := engine.Refresh(ctx, session.RefreshRequest{Secret: "the secret of the shop", Type: "LONG", Token: token})
		fmt.Println(who+":", session.CodeOf(err))
		return tokens
	}
	stolen := refresh("thief", user.Refresh)
	now = now.Add(time.Hour)
	refresh("user", user.Refresh)
	refresh("thief", stolen.Refresh)
	// Output:
	// thief: ok
	// user: replayed
	// thief: ended
}

// The access token of a session is rejected as soon as the session is revoked, although
// the token itself has not expired.
func ExampleEngine_Verify() {
	ctx := context.Background()
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	engine := newShop(func() time.Time { return now }) // see the package example
	tokens, err := engine.Login(ctx, session.LoginRequest{
		Secret: "the secret of the shop", Username: "alice", Password: "correct horse", Type: "LONG", Info: "phone",
	})
	if err != nil {
		log.Fatal(err)
	}
	caller, err := engine.Verify(ctx, "shop", tokens.Access)
	fmt.Println(session.CodeOf(err), "user", caller.Claims.User)

	if _, err := engine.Logout(ctx, "the secret of the shop", tokens.Refresh); err != nil {
		log.Fatal(err)
	}
	_, err = engine.Verify(ctx, "shop", tokens.Access)
	fmt.Println(session.CodeOf(err), session.CauseOf(err))
	// Output:
	// ok user 1
	// token_revoked logout
}
