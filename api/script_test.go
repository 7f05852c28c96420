package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"tokengate/api/wiretest"
	"tokengate/session/settings"
)

func decode(t testing.TB, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
}

// TestScripts runs what testdata says of the wire over real connections.
func TestScripts(t *testing.T) {
	for _, script := range wiretest.Load(t, "testdata/*.txtar") {
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, scriptOptions(t, script.Settings))
			public, admin := httptest.NewServer(g.public), httptest.NewServer(g.admin)
			defer public.Close()
			defer admin.Close()
			script.Run(t, wiretest.Target{Public: public.URL, Admin: admin.URL})
		})
	}
}

// scriptOptions reads a script's settings the way the program reads its own.
func scriptOptions(t *testing.T, lines []string) options {
	t.Helper()
	env := []string{"SECRET_KEY=x", "USERS=x", "SIGNING_KEY=x"}
	for i, line := range append(env, lines...) {
		line = settings.AppPrefix(wiretest.App) + line
		if i < len(env) {
			env[i] = line
			continue
		}
		env = append(env, line)
	}
	app, err := settings.LoadApp(settings.NewEnv(env), wiretest.App, settings.DefaultApp())
	must(t, err)
	return options{policies: app.Policies(), access: app.AccessLifetime}
}
