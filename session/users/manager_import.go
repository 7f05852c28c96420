package users

import (
	"context"
	"fmt"

	"tokengate/session"
)

// Import adds or replaces accounts, as [Import] returns them. It calls each after each of
// them. If an import disables a user or changes the hash of their password, it revokes
// the sessions of the user with this ID, whatever the former name. A hash that the last
// import has set counts as unchanged even if a login has replaced it since. After an
// error, the accounts before that one are imported; the import can be repeated.
func (m *Manager) Import(ctx context.Context, app string, accounts []session.Account, by string, each func()) (all session.Durability, err error) {
	if err := m.check(app); err != nil {
		return "", err
	}
	if err := m.passNumber(ctx, app, highestNumber(accounts)); err != nil {
		return "", err
	}
	for i, a := range accounts {
		done, err := retryOnConflict(func() (session.Durability, error) { return m.importAccount(ctx, app, a, by) })
		if all = all.And(done); err != nil {
			return all, fmt.Errorf("imported %d of %d users; %q (id %s) failed: %w", i, len(accounts), a.Username, a.ID, m.importAdvice(ctx, app, a, err))
		}
		each()
	}
	return all, nil
}

// importAdvice adds advice on how to continue to err, the error of the import of a.
func (m *Manager) importAdvice(ctx context.Context, app string, a session.Account, err error) error {
	if session.CodeOf(err) != session.UserExists {
		return fmt.Errorf("run the import again to continue: %w", err)
	}
	holder := "another user"
	if other, err := m.o.Directory.FindAccount(ctx, app, a.Username); err == nil {
		holder = "the user with the id " + other.ID.String()
	}
	return session.Fail(session.UserExists, fmt.Errorf(
		"%s has this name: change the name or the id in the file, or import the other user under another name, and run the import again", holder))
}

// retryOnConflict runs a step that reads a user and writes a changed one. It repeats the
// step if another change came in between, which the directory reports as UserUnknown. It
// returns the durability of all attempts together.
func retryOnConflict(step func() (session.Durability, error)) (done session.Durability, err error) {
	for range maxAttempts {
		var d session.Durability
		d, err = step()
		if done = done.And(d); session.CodeOf(err) != session.UserUnknown {
			break
		}
	}
	return done, err
}

// importAccount writes one user. If the user loses their sessions, it first stores the
// account in deactivated form, so that a retry after a failure revokes the sessions again.
//
// The Credential of a new hash is the hash's fingerprint, so it shows whether the hash is
// that of the last import, even if a login has replaced it since.
func (m *Manager) importAccount(ctx context.Context, app string, a session.Account, by string) (all session.Durability, err error) {
	was, err := m.o.Directory.Account(ctx, app, a.ID)
	found := session.CodeOf(err) != session.UserUnknown
	if found && err != nil {
		return "", err
	}
	a.Credential = session.NewFingerprint(session.Owner{App: app, User: a.ID.String()}, a.Password)
	same := found && (was.Credential == a.Credential || was.Password == a.Password)
	if same {
		a.Password, a.Credential = was.Password, was.Credential
	}
	if found && (!a.Active || !same) {
		inactive := deactivated(a)
		if all, err = m.o.Directory.PutAccount(ctx, app, inactive, was); err != nil {
			return "", err
		}
		revoked, err := m.o.Revoke(ctx, session.Owner{App: app, User: a.ID.String()}, by)
		if all = all.And(revoked.Durability); err != nil {
			return all, err
		}
		was = inactive
	}
	done, err := m.o.Directory.PutAccount(ctx, app, a, was)
	return all.And(done), err
}

// deactivated returns a without a usable password and inactive. It is stored while the
// sessions are being revoked. Its hash and its Credential are those of no user file, so that
// a repeated import finds a difference.
func deactivated(a session.Account) session.Account {
	a.Active, a.Password, a.Credential = false, "!import", session.RandomFingerprint()
	return a
}
