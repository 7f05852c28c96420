package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// guess logs in to "shop" as alice from a device and a network.
func (f *fixture) guess(password, device, network string) (session.Tokens, error) {
	return f.Login(f.Context(), session.LoginRequest{
		Secret: "s-new", Username: "alice", Password: password, Type: "LONG", Device: device, Network: network,
	})
}

// wantRefused checks that an error is that of a limit, and how long it says to wait.
func (f *fixture) wantRefused(err error, limit session.Limit, wait time.Duration) {
	f.Helper()
	f.wantError(err, session.Throttled, "")
	if session.LimitOf(err) != limit || session.RetryAfterOf(err) != wait {
		f.Fatalf("got limit %q and a wait of %s, want %q and %s", session.LimitOf(err), session.RetryAfterOf(err), limit, wait)
	}
}

// TestLoginAttemptsInRow checks that after LoginAttempts failures neither a wrong nor the
// right password is compared until the wait is over, and that a success ends the row.
func TestLoginAttemptsInRow(t *testing.T) {
	f := newFixture(t)
	fail := func() {
		t.Helper()
		_, err := f.guess("wrong", "", "")
		f.wantError(err, session.InvalidCredentials, "")
	}
	for range 3 {
		fail()
	}
	for _, password := range []string{"wrong", "alice"} {
		_, err := f.guess(password, "", "")
		f.wantRefused(err, session.LimitAccount, time.Minute)
	}
	if f.checker.compared != 3 {
		t.Errorf("%d passwords were compared, want 3", f.checker.compared)
	}
	f.now = f.now.Add(time.Minute)
	fail()
	_, err := f.guess("alice", "", "")
	f.wantRefused(err, session.LimitAccount, 2*time.Minute)
	f.now = f.now.Add(2 * time.Minute)
	_, err = f.guess("alice", "", "")
	f.wantError(err, session.OK, "")
	for range 3 {
		fail()
	}
	_, err = f.Login(t.Context(), session.LoginRequest{Secret: "o", Username: "alice", Password: "alice", Type: "LONG"})
	f.wantError(err, session.OK, "")
}

// TestUncomparedLoginIsNotCounted checks that a login whose password was not compared, or
// that the user source refused, uses up no attempt.
func TestUncomparedLoginIsNotCounted(t *testing.T) {
	f := newFixture(t)
	for _, code := range []session.Code{session.Busy, session.Unavailable, session.Throttled} {
		f.checker.checkErr = session.Fail(code, nil)
		for range 4 {
			_, err := f.guess("alice", "", "n")
			f.wantError(err, code, "")
		}
	}
	f.checker.checkErr = nil
	for range 4 {
		_, err := f.guess(strings.Repeat("x", session.MaxPassword+1), "", "n")
		f.wantError(err, session.InvalidCredentials, "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.checker.checkErr = session.Fail(session.Unavailable, ctx.Err())
	for range 4 {
		_, err := f.Login(ctx, session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"})
		f.wantError(err, session.Unavailable, "")
	}
	f.checker.checkErr = nil
	_, err := f.guess("alice", "", "n")
	f.wantError(err, session.OK, "")
}

// TestComparedLoginIsCounted checks that a login that could not be decided counts if a password
// was compared.
func TestComparedLoginIsCounted(t *testing.T) {
	f := newFixture(t)
	f.checker.checkErr = &session.Error{Code: session.Unavailable, Compared: true}
	for range 3 {
		_, err := f.guess("alice", "", "")
		f.wantError(err, session.Unavailable, "")
	}
	_, err := f.guess("alice", "", "")
	f.wantRefused(err, session.LimitAccount, time.Minute)
}

// TestInvalidTypeCountsAsFailure checks that a right password with an invalid type is
// counted, since the error shows that the password is right.
func TestInvalidTypeCountsAsFailure(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		_, err := f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "X"})
		f.wantError(err, session.InvalidType, "")
	}
	_, err := f.guess("alice", "", "")
	f.wantRefused(err, session.LimitAccount, time.Minute)
}

// TestKnownDevice checks that a known device has a budget of its own: failures elsewhere
// do not keep its user out, its success does not help a guesser elsewhere, and its own
// failures are limited.
func TestKnownDevice(t *testing.T) {
	f := newFixture(t)
	first, err := f.guess("alice", "", "home")
	f.wantError(err, session.OK, "")
	for i := range 5 {
		_, err := f.guess("wrong", "", "away")
		if f.wantError(errOrOK(err, session.InvalidCredentials, session.Throttled), session.OK, ""); i >= 3 {
			f.wantRefused(err, session.LimitAccount, time.Minute)
		}
	}
	for _, name := range []string{"a", "b"} {
		_, err := f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: name, Password: "x", Type: "LONG", Network: "away"})
		f.wantError(err, session.InvalidCredentials, "")
	}
	_, err = f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "bob", Password: "bob", Type: "LONG", Network: "away"})
	f.wantRefused(err, session.LimitNetwork, 2*time.Minute)
	device := first.Device
	for range 10 {
		again, err := f.guess("alice", device, "away")
		f.wantError(err, session.OK, "")
		device = again.Device
	}
	_, err = f.guess("alice", "", "other")
	f.wantRefused(err, session.LimitAccount, time.Minute)
	for range 3 {
		_, err = f.guess("wrong", device, "home")
		f.wantError(err, session.InvalidCredentials, "")
	}
	_, err = f.guess("alice", first.Device, "home") // the token was renewed, and the device is the same
	f.wantRefused(err, session.LimitDevice, time.Minute)
}

// errOrOK returns nil if err has one of the codes, and otherwise err.
func errOrOK(err error, codes ...session.Code) error {
	for _, code := range codes {
		if session.CodeOf(err) == code {
			return nil
		}
	}
	return err
}

// TestUnknownDevice checks that a device token counts only for its app and account, until it
// expires, and with the credential of its login. Any other token is as none.
func TestUnknownDevice(t *testing.T) {
	f := newFixture(t)
	f.checker.users["alice"] = session.User{ID: session.NumberID(1), Credential: session.Fingerprint{1}}
	alice, err := f.guess("alice", "", "")
	f.wantError(err, session.OK, "")
	bob, err := f.loginAs("bob")
	f.wantError(err, session.OK, "")
	other, err := f.Login(t.Context(), session.LoginRequest{Secret: "o", Username: "alice", Password: "alice", Type: "LONG"})
	f.wantError(err, session.OK, "")
	for range 3 {
		_, err = f.guess("wrong", "", "")
		f.wantError(err, session.InvalidCredentials, "")
	}
	for name, token := range map[string]string{"none": "", "malformed": "x", "of another user": bob.Device, "of another app": other.Device} {
		if _, err := f.guess("alice", token, ""); session.LimitOf(err) != session.LimitAccount {
			t.Errorf("%s: got %v, want the limit of the account", name, err)
		}
	}
	f.checker.users["alice"] = session.User{ID: session.NumberID(1), Credential: session.Fingerprint{2}}
	_, err = f.guess("alice", alice.Device, "")
	f.wantRefused(err, session.LimitAccount, time.Minute)
	f.checker.users["alice"] = session.User{ID: session.NumberID(1), Credential: session.Fingerprint{1}}
	_, err = f.guess("alice", alice.Device, "")
	f.wantError(err, session.OK, "")
	f.now = f.now.Add(session.DeviceLifetime)
	for range 3 {
		_, err = f.guess("wrong", alice.Device, "")
		f.wantError(err, session.InvalidCredentials, "")
	}
	_, err = f.guess("alice", alice.Device, "")
	f.wantRefused(err, session.LimitAccount, time.Minute)
}

// TestLoginAttemptsPerNetwork checks the limit of a network, which does not count successes
// and does not raise the row of an account that it refuses.
func TestLoginAttemptsPerNetwork(t *testing.T) {
	f := newFixture(t)
	for range 10 {
		_, err := f.guess("alice", "", "n")
		f.wantError(err, session.OK, "")
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		_, err := f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: name, Password: "x", Type: "LONG", Network: "n"})
		f.wantError(err, session.InvalidCredentials, "")
	}
	for range 5 {
		_, err := f.guess("alice", "", "n")
		f.wantRefused(err, session.LimitNetwork, 2*time.Minute)
	}
	_, err := f.guess("alice", "", "m")
	f.wantError(err, session.OK, "")
	f.now = f.now.Add(2 * time.Minute)
	_, err = f.guess("alice", "", "n")
	f.wantError(err, session.OK, "")
}

// TestLimiterUnavailable checks that no password is compared while failures can't be counted.
func TestLimiterUnavailable(t *testing.T) {
	f := newFixture(t)
	f.limiter.down = true
	_, err := f.guess("alice", "", "")
	f.wantError(err, session.Unavailable, "")
	if f.checker.compared != 0 {
		t.Error("a password was compared")
	}
}

// TestForgetFailures checks that an operator can end a row of failures, and sees what was
// refused.
func TestForgetFailures(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		_, _ = f.guess("wrong", "", "")
	}
	for range 2 {
		_, err := f.guess("alice", "", "")
		f.wantRefused(err, session.LimitAccount, time.Minute)
	}
	list, err := f.Refusals(t.Context(), "shop")
	if err != nil || len(list) != 1 || list[0] != (session.Refusals{Limit: session.LimitAccount, Key: "alice", Count: 2}) {
		t.Errorf("got refusals %v, %v, want 2 of alice", list, err)
	}
	if _, err := f.ForgetFailures(t.Context(), "shop", "alice"); err != nil {
		t.Fatal(err)
	}
	_, err = f.guess("alice", "", "")
	f.wantError(err, session.OK, "")
	_, err = f.ForgetFailures(t.Context(), "none", "alice")
	f.wantError(err, session.AppUnknown, "")
	_, err = f.Refusals(t.Context(), "none")
	f.wantError(err, session.AppUnknown, "")
}

// TestLoginEventNamesAccount checks that each event of a login has the account and the network.
func TestLoginEventNamesAccount(t *testing.T) {
	f := newFixture(t)
	for _, password := range []string{"alice", "wrong", "wrong", "wrong", "alice", strings.Repeat("x", 2000)} {
		_, _ = f.guess(password, "", "n")
	}
	for _, e := range f.events.events {
		if e.Account != "alice" || e.Network != "n" {
			t.Errorf("got event %+v, want account alice and network n", e)
		}
	}
}

// TestDeviceTokenFails checks that a login whose device token can't be signed changes nothing.
func TestDeviceTokenFails(t *testing.T) {
	f := newFixture(t)
	f.signer.signErr = errors.New("no key")
	_, err := f.guess("alice", "", "")
	f.wantError(err, session.Internal, "")
	f.wantLive(0)
}
