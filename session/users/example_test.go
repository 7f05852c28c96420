package users_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"tokengate/session"
	"tokengate/session/password"
	"tokengate/session/users"
)

// A login fails with the same code for an inactive user as for an unknown one. A recheck,
// which is part of each refresh, distinguishes them.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "users")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "users.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, `[
		{"id": 1, "username": "alice", "password": %q, "is_active": true, "claims": {"role": "admin"}},
		{"id": 2, "username": "bob", "password": %[1]q, "is_active": false}
	]`, password.NewHash("correct horse")), 0o600); err != nil {
		log.Fatal(err)
	}
	source, err := users.Open(ctx, "file:"+file, users.Options{
		Queue: password.NewQueue(0, 0, nil), DummyKey: []byte("a secret, the same on all instances"),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, username := range []string{"alice", "bob", "carol"} {
		_, err := source.Check(ctx, session.Credentials{Username: username, Password: "correct horse"}, func(session.Found) error { return nil })
		fmt.Println("login of", username+":", session.CodeOf(err))
	}
	for _, id := range []int64{1, 2, 3} {
		_, err := source.Recheck(ctx, session.NumberID(id), false)
		fmt.Println("recheck of user", id, "-", session.CodeOf(err))
	}
	// Output:
	// login of alice: ok
	// login of bob: invalid_credentials
	// login of carol: invalid_credentials
	// recheck of user 1 - ok
	// recheck of user 2 - user_inactive
	// recheck of user 3 - user_not_found
}

// The users of a Django project are imported from the output of "manage.py dumpdata
// auth.user". A user whose hash is too weak needs a new password.
func ExampleImport() {
	const dump = `[
		{"model": "auth.user", "pk": 1, "fields": {"username": "alice", "is_active": true,
			"password": "pbkdf2_sha256$1000$salt$boRToEKoQr22LeDTyHDsEkHpDsDOTyWJq16HknEiweU="}},
		{"model": "auth.user", "pk": 2, "fields": {"username": "bob", "is_active": true,
			"password": "md5$salt$00112233445566778899aabbccddeeff"}}
	]`
	accounts, warnings, err := users.Import(strings.NewReader(dump), users.ImportOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range accounts {
		fmt.Println(a.ID, a.Username, a.Password)
	}
	for _, w := range warnings {
		fmt.Println(w)
	}
	// Output:
	// 1 alice pbkdf2_sha256$1000$salt$boRToEKoQr22LeDTyHDsEkHpDsDOTyWJq16HknEiweU=
	// 2 bob !
	// line 4, entry 2: user 2 can't log in until a new password is set: the hash format md5 is too weak to accept: have the user set a new password
}
