package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tokengate/session"
)

func TestImport(t *testing.T) {
	const alice = `{"id":1,"username":"alice","password":"!"}`
	shop := newShop()
	printed := shop.must(t, "", "import ../users/testdata/dumpdata-all.json")
	if shop.count() != 5 || printed != "5 users\n" || !shop.canLogIn(t, "zoë", "pässwörd") || shop.canLogIn(t, "bob", "bob-pw") {
		t.Errorf("got %d users, want 5; printed %q", shop.count(), printed)
	}
	shop.must(t, "["+alice+"]", "import -")
	invalid := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(invalid, []byte("["+strings.ReplaceAll(alice, "alice", "eve")+`,{"id":2}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shop.runLine(t, "", "import "+invalid); err == nil || shop.account("eve").Username != "" {
		t.Errorf("import of a file with an invalid entry: got %v and %+v, want an error and no user", err, shop.account("eve"))
	}
	shop.users.putErr = session.Fail(session.Unavailable, nil)
	if err := shop.runLine(t, "["+alice+"]", "import -"); err == nil || !strings.Contains(err.Error(), "0 of 1") {
		t.Errorf("import while the store is unavailable: got %v, want the error that 0 of 1 users were imported", err)
	}
}

// TestImportFindsTakenName checks that an import which gives a user another user's name
// stops there and returns advice.
func TestImportFindsTakenName(t *testing.T) {
	shop := newShop()
	shop.must(t, "pw", "add zoe -id 9")
	err := shop.runLine(t, `[{"id": 10, "username": "yan", "password": "!"}, {"id": 11, "username": "zoe", "password": "!"}]`, "import -")
	if session.CodeOf(err) != session.UserExists {
		t.Fatalf("got %v, want %s", err, session.UserExists)
	}
	for _, part := range []string{"imported 1 of 2 users", `"zoe" (id 11) failed`, "the user with the id 9 has this name", "run the import again"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q", err, part)
		}
	}
}
