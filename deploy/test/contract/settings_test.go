package contract

import (
	"maps"
	"testing"
)

func decodeConfig(t *testing.T, text string) (c Config) {
	t.Helper()
	if err := decode([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSettings(t *testing.T) {
	c := decodeConfig(t, `{"secret":"s","signing_key":"k","policy":{
		"ACCESS_TOKEN_LIFETIME":120, "REFRESH_TOKEN_LIFETIME":5000, "LEEWAY":0.5, "AUDIENCE":null, "ALGORITHM":"HS256",
		"AUTH_HEADER_TYPES":["JWT","Bearer"], "LONG_SESSION":{"REFRESH_TOKEN_LIFETIME":3000, "ROTATE_REFRESH_TOKENS":true,
		"EXTEND_SESSION_ONCE_AFTER_EACH":1500, "MAX_NUMBER_ACTIVE_SESSIONS":5, "RETRY_WINDOW":"9s", "EXTEND_SESSION":null}}}`)
	want := map[string]string{
		"SECRET_KEY":                   "s",
		"SIGNING_KEY":                  "k",
		"ACCESS_TOKEN_LIFETIME":        "120000ms",
		"LEEWAY":                       "500ms",
		"ALGORITHM":                    "HS256",
		"AUTH_HEADER_TYPES":            "JWT,Bearer",
		"LONG_SESSION_RETRY_WINDOW":    "9s",
		"LONG_SESSION_REUSE_DETECTION": "false",

		"LONG_SESSION_ABSOLUTE_LIFETIME":              "400d",
		"LONG_SESSION_REFRESH_TOKEN_LIFETIME":         "3000000ms",
		"LONG_SESSION_ROTATE_REFRESH_TOKENS":          "true",
		"LONG_SESSION_EXTEND_SESSION_ONCE_AFTER_EACH": "1500000ms",
		"LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     "5",
	}
	if got := c.Settings(); !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUserFile(t *testing.T) {
	c := decodeConfig(t, `{"users":[{"id":1,"username":"a","password":"p","password_hash":"h"},
		{"id":"x","username":"b","password":"p","password_hash":"i","is_active":false},
		{"id":3,"username":"c","password":"p","password_hash":"j","is_active":true}]}`)
	want := `[{"id":1,"username":"a","password":"h","is_active":true},{"id":"x","username":"b","password":"i","is_active":false},` +
		`{"id":3,"username":"c","password":"j","is_active":true}]`
	if got, err := c.UserFile(); err != nil || string(got) != want {
		t.Errorf("got %s and error %v, want %s", got, err, want)
	}
}

func TestMerge(t *testing.T) {
	old := decodeConfig(t, `{"policy":{"A":1,"L":{"B":2,"C":3},"S":{"D":4}},"users":[{"username":"a"}]}`)
	for _, c := range []struct {
		name, restart, policy string
		users                 int
	}{
		{"nothing", `{}`, `{"A":1,"L":{"B":2,"C":3},"S":{"D":4}}`, 1},
		{"inner member", `{"policy":{"L":{"B":9}}}`, `{"A":1,"L":{"B":9,"C":3},"S":{"D":4}}`, 1},
		{"new member", `{"policy":{"L":{"E":9},"F":8}}`, `{"A":1,"F":8,"L":{"B":2,"C":3,"E":9},"S":{"D":4}}`, 1},
		{"object for a number", `{"policy":{"A":{"B":1}}}`, `{"A":{"B":1},"L":{"B":2,"C":3},"S":{"D":4}}`, 1},
		{"null", `{"policy":{"A":null}}`, `{"A":null,"L":{"B":2,"C":3},"S":{"D":4}}`, 1},
		{"users", `{"users":[{"username":"b"},{"username":"c"}]}`, `{"A":1,"L":{"B":2,"C":3},"S":{"D":4}}`, 2},
		{"no users", `{"users":[]}`, `{"A":1,"L":{"B":2,"C":3},"S":{"D":4}}`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := new(Restart)
			if err := decode([]byte(c.restart), r); err != nil {
				t.Fatal(err)
			}
			got := old.merge(r)
			if policy := encode(got.Policy, false); policy != c.policy || len(got.Users) != c.users {
				t.Errorf("got policy %s and %d users, want %s and %d", policy, len(got.Users), c.policy, c.users)
			}
		})
	}
}
