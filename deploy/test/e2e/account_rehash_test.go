package e2e

import (
	"crypto/pbkdf2"
	"crypto/sha1" // a format that Django has used
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// pbkdf2Hash returns a hash in Django's format.
func pbkdf2Hash[H hash.Hash](t *testing.T, name string, newHash func() H, password string, iterations int) string {
	t.Helper()
	key, err := pbkdf2.Key(newHash, password, []byte("saltsalt"), iterations, newHash().Size())
	must(t, err)
	return fmt.Sprintf("%s$%d$saltsalt$%s", name, iterations, base64.StdEncoding.EncodeToString(key))
}

// storedHash returns the hash of a user in Redis.
func storedHash(t *testing.T, server *redistest.Server, userID int) string {
	t.Helper()
	keys := redisKeys(server, fmt.Sprintf("tg:{%s:??}:user:%d", gatewaytest.App, userID))
	if len(keys) != 1 {
		t.Fatalf("got the keys %q, want one of user %d", keys, userID)
	}
	return server.Do("HGET", keys[0], "password")
}

// importUser imports a user with a hash and returns the environment of more commands.
func importUser(t *testing.T, server *redistest.Server, id int, name, hash string) commandEnv {
	t.Helper()
	content, err := json.Marshal([]map[string]any{{"id": id, "username": name, "password": hash}})
	must(t, err)
	env := newCommandEnv(server.URL)
	if code, output := env.run(t, string(content), "user", "import", "--app", gatewaytest.App, "-"); code != 0 {
		t.Fatalf("user import: got exit code %d, output %s; want 0", code, output)
	}
	return env
}

// TestA8WeakHashesAreReplaced checks that a good login replaces a weak hash of a redis: user,
// that the user's sessions continue, and that the password stays the same. The cases run one
// after the other, because a replacement does not wait while other logins need the threads.
func TestA8WeakHashesAreReplaced(t *testing.T) {
	t.Parallel()
	const legacy = "abc" // shorter than new passwords may be
	weak, err := bcrypt.GenerateFromPassword([]byte(oldPassword), bcrypt.MinCost)
	must(t, err)
	server := redistest.Standalone(t)
	c := startShop(t, server.URL, gatewaytest.Settings{"APP_USERS": "redis:"}).Client()
	count := 0
	for name, user := range map[string]struct{ password, hash string }{
		"pbkdf2 with 1,000 iterations": {oldPassword, pbkdf2Hash(t, "pbkdf2_sha256", sha256.New, oldPassword, 1000)},
		"pbkdf2 with 1 iteration":      {oldPassword, pbkdf2Hash(t, "pbkdf2_sha256", sha256.New, oldPassword, 1)},
		"pbkdf2 with sha1":             {oldPassword, pbkdf2Hash(t, "pbkdf2_sha1", sha1.New, oldPassword, 1000)},
		"short password":               {legacy, pbkdf2Hash(t, "pbkdf2_sha256", sha256.New, legacy, 1000)},
		"bcrypt with the least cost":   {oldPassword, string(weak)},
		"Django's bcrypt":              {oldPassword, "bcrypt$" + string(weak)},
	} {
		count++
		id, username := count, fmt.Sprintf("user%d", count)
		t.Run(name, func(t *testing.T) {
			importUser(t, server, id, username, user.hash)
			requireStatus(t, http.StatusBadRequest, tryLogin(t, c, username, "wrong password", "LONG"), "login with a wrong password")
			first := login(t, c, username, user.password, "LONG")
			poll(t, "the hash is replaced", func() bool { return strings.Contains(storedHash(t, server, id), "argon2id") })
			replaced := storedHash(t, server, id)
			first.checkLive("session of before the hash was replaced")
			requireStatus(t, http.StatusBadRequest, tryLogin(t, c, username, "wrong password", "LONG"), "login with a wrong password")
			second := login(t, c, username, user.password, "LONG")
			first.checkLive("after another login")
			second.checkLive("session of after the hash was replaced")
			if got := storedHash(t, server, id); got != replaced {
				t.Errorf("another login has replaced the hash %q by %q, want no change", replaced, got)
			}
		})
	}
}

// TestA8OtherHashesStay checks that neither a login with a wrong password nor one of a user with
// a present hash changes the hash.
func TestA8OtherHashesStay(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	c := startShop(t, server.URL, gatewaytest.Settings{"APP_USERS": "redis:"}).Client()
	weak := pbkdf2Hash(t, "pbkdf2_sha256", sha256.New, oldPassword, 1000)
	env := importUser(t, server, 1, "weak", weak)
	if code, output := env.run(t, oldPassword, "user", "add", "--app", gatewaytest.App, "present", "--id", "2"); code != 0 {
		t.Fatalf("user add: got exit code %d, output %s", code, output)
	}
	present := storedHash(t, server, 2)
	requireStatus(t, http.StatusBadRequest, tryLogin(t, c, "weak", "wrong password", "LONG"), "login with a wrong password")
	s := login(t, c, "present", oldPassword, "LONG")
	for begin := time.Now(); time.Since(begin) < 2*time.Second; time.Sleep(pollInterval) {
		if storedHash(t, server, 1) != weak || storedHash(t, server, 2) != present {
			t.Fatal("a hash has changed")
		}
	}
	s.checkLive("session of a user with a present hash")
}

// TestA8PasswordChangeWins checks that a change of the password, not the replacement of the old
// hash, decides in the end, and that it ends the sessions of before.
func TestA8PasswordChangeWins(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	c := startShop(t, server.URL, gatewaytest.Settings{"APP_USERS": "redis:"}).Client()
	for id := 1; id <= 5; id++ {
		name := fmt.Sprintf("user%d", id)
		env := importUser(t, server, id, name, pbkdf2Hash(t, "pbkdf2_sha256", sha256.New, oldPassword, 1000))
		s := login(t, c, name, oldPassword, "LONG")
		if code, output := env.run(t, newPassword, "user", "passwd", "--app", gatewaytest.App, name); code != 0 {
			t.Fatalf("user passwd: got exit code %d, output %s", code, output)
		}
		s.checkEnded("account", "refresh after passwd")
		fresh := login(t, c, name, newPassword, "LONG")
		time.Sleep(100 * time.Millisecond) // for a replacement that is late
		fresh.checkLive("session of after passwd")
		requireStatus(t, http.StatusBadRequest, tryLogin(t, c, name, oldPassword, "LONG"), "login with the old password")
	}
}
