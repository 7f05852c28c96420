package e2e

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"tokengate/api/wiretest"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestWireScripts runs the scripts of api/testdata against gateway processes.
func TestWireScripts(t *testing.T) {
	server, users := redistest.Standalone(t), wireUsers(t)
	for _, script := range wiretest.Load(t, "../../../api/testdata/*.txtar") {
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			settings := gatewaytest.Settings{
				"APPS": wiretest.App, "ADMIN_TOKEN": wiretest.AdminToken, "REDIS_PREFIX": script.Name,
				"APP_SECRET_KEY": wiretest.Secret, "APP_USERS": "file:" + users,
			}
			for _, line := range script.Settings {
				name, value, _ := strings.Cut(line, "=")
				settings["APP_"+name] = value
			}
			g := gatewaytest.Start(t, server.URL, settings)
			script.Run(t, wiretest.Target{Public: g.URL, Admin: g.AdminURL})
		})
	}
}

// wireUsers writes the scripts' users to a user file and returns its path. The hashes have
// one round of PBKDF2 to keep logins fast.
func wireUsers(t *testing.T) (path string) {
	t.Helper()
	var list []map[string]any
	for _, u := range wiretest.Users {
		key, err := pbkdf2.Key(sha256.New, u.Password, []byte("wire"), 1, sha256.Size)
		must(t, err)
		list = append(list, map[string]any{
			"id": u.ID, "username": u.Name, "is_active": u.Active,
			"password": "pbkdf2_sha256$1$wire$" + base64.StdEncoding.EncodeToString(key),
		})
	}
	content, err := json.Marshal(list)
	must(t, err)
	return writeFile(t, "users.json", content)
}
