package users

import (
	"strings"
	"testing"

	"tokengate/session"
	"tokengate/session/password"
)

// TestManagerImports checks for each difference between an account and its import whether
// the sessions are revoked and whether the credential changes.
func TestManagerImports(t *testing.T) {
	for what, c := range map[string]struct {
		edit                 func(*session.Account)
		revoking, credential bool
	}{
		"same":                 {func(*session.Account) {}, false, false},
		"renamed":              {func(a *session.Account) { a.Username = "alicia" }, false, false},
		"other claims":         {func(a *session.Account) { a.Claims = []byte(`{"a":1}`) }, false, false},
		"disabled":             {func(a *session.Account) { a.Active = false }, true, false},
		"renamed and disabled": {func(a *session.Account) { a.Active, a.Username = false, "alicia" }, true, false},
		"other hash":           {func(a *session.Account) { a.Password = "!" }, true, true},
		"another user":         {func(a *session.Account) { a.ID, a.Username = session.NumberID(8), "alicia" }, false, true},
	} {
		m := newManagerTest(t)
		was := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice"})
		m.onRevoke = func() {
			if got := m.stored(was.ID); got.Active || accepts(got, "first password") {
				t.Errorf("%s: at the revocation the user is %+v, want them without a password and inactive", what, got)
			}
		}
		a, calls := was, 0
		a.Credential = session.Fingerprint{} // a file has none
		c.edit(&a)
		if _, err := m.Import(t.Context(), "shop", []session.Account{a}, "ops", func() { calls++ }); err != nil || calls != 1 {
			t.Errorf("%s: got %v and %d calls, want 1", what, err, calls)
		}
		got := m.stored(a.ID)
		if changed := got.Credential != was.Credential; changed != c.credential || got.Credential.IsZero() {
			t.Errorf("%s: the credential was %x and is %x, want a change: %t", what, was.Credential, got.Credential, c.credential)
		}
		if a.Credential = got.Credential; a.CheckUnchanged(got) != nil {
			t.Errorf("%s: got %+v, want %+v", what, got, a)
		}
		if c.revoking {
			m.wantRevoked(what, "7")
		} else {
			m.wantRevoked(what)
		}
	}
}

// TestManagerImportsAgain checks that a repeated import does not put a hash back that a
// login has replaced, and that it does so after another password was set.
func TestManagerImportsAgain(t *testing.T) {
	m := newManagerTest(t)
	file := []session.Account{{ID: session.NumberID(7), Username: "alice", Password: quickHash(t, "correct horse"), Active: true}}
	load := func() session.Account {
		if _, err := m.Import(t.Context(), "shop", file, "ops", func() {}); err != nil {
			t.Fatal(err)
		}
		return m.stored(file[0].ID)
	}
	imported := load()
	rehashed := imported
	rehashed.Password = password.NewHash("correct horse")
	if _, err := m.directory.PutAccount(t.Context(), "shop", rehashed, imported); err != nil {
		t.Fatal(err)
	}
	if got := load(); got.CheckUnchanged(rehashed) != nil {
		t.Errorf("repeated import: got %+v, want %+v", got, rehashed)
	}
	m.wantRevoked("repeated import")
	other := "another password"
	if _, err := m.change(imported.ID, session.AccountChange{Password: &other}); err != nil {
		t.Fatal(err)
	}
	if got := load(); got.Password != file[0].Password || got.Credential != imported.Credential {
		t.Errorf("import after another password: got %+v, want %+v", got, imported)
	}
	m.wantRevoked("import after another password", "7", "7")
}

// TestManagerImportContinues checks that an import which failed between its steps revokes the
// sessions when it is repeated, whatever hash the file has.
func TestManagerImportContinues(t *testing.T) {
	for _, hash := range []string{"!", "!other"} {
		m := newManagerTest(t)
		was := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice"})
		file := []session.Account{{ID: was.ID, Username: "alice", Password: hash, Active: true}}
		m.revokeErr = session.Fail(session.Unavailable, nil)
		_, err := m.Import(t.Context(), "shop", file, "ops", func() {})
		if m.wantCode("failed revocation", err, session.Unavailable); !strings.Contains(err.Error(), `imported 0 of 1 users; "alice" (id 7) failed: run the import again`) {
			t.Errorf("got %v, want the number of users and advice", err)
		}
		m.revokeErr = nil
		if _, err := m.Import(t.Context(), "shop", file, "ops", func() {}); err != nil || !m.stored(was.ID).Active || m.stored(was.ID).Password != hash {
			t.Errorf("repeated import: got %v and %+v, want the account of the file", err, m.stored(was.ID))
		}
		m.wantRevoked("hash "+hash, "7", "7")
	}
}

// TestManagerImportFindsTakenName checks that an import which gives a user another user's
// name stops there and returns advice.
func TestManagerImportFindsTakenName(t *testing.T) {
	m := newManagerTest(t)
	m.add(session.NewAccount{ID: session.NumberID(9), Username: "zoe"})
	calls := 0
	m.directory.durability = []session.Durability{session.Pending}
	done, err := m.Import(t.Context(), "shop", []session.Account{
		{ID: session.NumberID(10), Username: "yan", Password: "!"}, {ID: session.NumberID(11), Username: "zoe", Password: "!"},
	}, "ops", func() { calls++ })
	m.wantCode("import of a taken name", err, session.UserExists)
	for _, part := range []string{"imported 1 of 2 users", `"zoe" (id 11) failed`, "the user with the id 9 has this name", "run the import again"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q", err, part)
		}
	}
	if calls != 1 || done != session.Pending {
		t.Errorf("got %d calls and durability %q, want 1 and pending", calls, done)
	}
}
