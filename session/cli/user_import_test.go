package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestUserImport(t *testing.T) {
	const alice = `{"id":1,"username":"alice","password":"!"}`
	c := newCLITest(t)
	printed := c.must("", "user import ../users/testdata/dumpdata-all.json --app shop")
	if c.count() != 5 || printed != "5 users\n" || !c.accepts("zoë", "pässwörd") || c.accepts("bob", "bob-pw") {
		t.Errorf("got %d users, want 5; printed %q", c.count(), printed)
	}
	if c.stderr.Len() > 0 {
		t.Errorf("got %q on standard error, which is no terminal, want nothing", &c.stderr)
	}
	c.must("["+alice+"]", "user import --app shop -")
	invalid := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(invalid, []byte("["+strings.ReplaceAll(alice, "alice", "eve")+`,{"id":2}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.mustFail("", "user import --app shop "+invalid, "entry 2")
	if c.account("eve").Username != "" {
		t.Error("a user of a file with an invalid entry was imported")
	}
	c.mustFail("", "user import --app shop /no/such/file", "no such file")
	c.mustFail("", "user import --app shop -", "not a JSON array")
	c.must("first password", "user add --integer-id newest --app shop")
	if id, err := strconv.Atoi(c.account("newest").ID.String()); err != nil || id <= 5 {
		t.Errorf("the id after the import is %d, %v; want one above those that were imported", id, err)
	}
}
