package session_test

import (
	"errors"
	"fmt"
	"time"

	"tokengate/session"
)

// A caller decides by the code. Unavailable means that the answer is not known: the client
// keeps its tokens and tries again, where it would log in again after Unknown.
func ExampleCodeOf() {
	for _, err := range []error{
		nil,
		session.Fail(session.Unavailable, errors.New("no route to host")),
		session.Fail(session.Unknown, nil),
		fmt.Errorf("refresh: %w", &session.Error{Code: session.Revoked, Cause: session.CauseEvicted}),
		errors.New("an error of another package"),
	} {
		switch code := session.CodeOf(err); code {
		case session.OK:
			fmt.Println(code, "- go on")
		case session.Unavailable:
			fmt.Println(code, "- try again later")
		case session.Unknown, session.Revoked, session.Expired:
			fmt.Printf("%s - log in again (cause: %q)\n", code, session.CauseOf(err))
		default:
			fmt.Println(code, "- report a defect")
		}
	}
	// Output:
	// ok - go on
	// unavailable - try again later
	// unknown - log in again (cause: "")
	// ended - log in again (cause: "evicted")
	// internal - report a defect
}

// The error names a setting and says what to do, so it can be shown to an operator as it is.
func ExamplePolicy_Validate() {
	policy := session.Policy{Lifetime: 30 * 24 * time.Hour, AbsoluteLifetime: 90 * 24 * time.Hour}
	fmt.Println(policy.Validate())
	policy.RetryWindow = time.Hour
	fmt.Println(policy.Validate())
	policy.AbsoluteLifetime = 0
	fmt.Println(policy.Validate())
	// Output:
	// <nil>
	// RETRY_WINDOW is 1h0m0s: give 0s to 300s
	// ABSOLUTE_LIFETIME is 0s: every session must expire, give 1s to 400d
}

// A lifetime that was shortened since the login applies to the session at once. One that
// was lengthened applies to new sessions only.
func ExamplePolicy_Clamp() {
	policy := session.Policy{Lifetime: 30 * 24 * time.Hour, AbsoluteLifetime: 90 * 24 * time.Hour}
	s := policy.Start(session.Session{ID: session.NewID()}, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println("at login:", s.Expires.Format(time.DateOnly))

	policy.Lifetime = 7 * 24 * time.Hour
	fmt.Println("shortened:", policy.Clamp(s).Expires.Format(time.DateOnly))
	policy.Lifetime = 60 * 24 * time.Hour
	fmt.Println("lengthened:", policy.Clamp(s).Expires.Format(time.DateOnly))
	// Output:
	// at login: 2030-01-31
	// shortened: 2030-01-08
	// lengthened: 2030-01-31
}

// The list answers without I/O and says when it cannot. A [session.Feed] fills it with the
// revocations of all instances; here its calls are made by hand.
func ExampleRevocationList() {
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	list := session.NewRevocationList(5*time.Minute, 10*time.Second, func() time.Time { return now })
	access := session.AccessToken{App: "shop", Session: session.NewID(), Issued: now, Expires: now.Add(5 * time.Minute)}
	check := func(when string) {
		cause, revoked, fresh := list.Check(access, now)
		switch {
		case revoked:
			fmt.Println(when+": reject,", cause)
		case fresh:
			fmt.Println(when + ": accept")
		default:
			fmt.Println(when + ": query the store")
		}
	}
	check("at the start")
	list.CaughtUp(now)
	check("complete")
	now = now.Add(11 * time.Second)
	check("older than its bound")
	list.Revoked(session.Revocation{
		Owner:     session.Owner{App: "shop", User: "1"},
		Tombstone: session.Tombstone{ID: access.Session, Cause: session.CauseLogout, At: now},
	})
	check("revoked")
	// Output:
	// at the start: query the store
	// complete: accept
	// older than its bound: query the store
	// revoked: reject, logout
}
