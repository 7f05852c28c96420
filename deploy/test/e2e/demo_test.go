package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// TestDemo builds the program, starts it without settings and runs the commands that it
// prints, as a new user does. The first login must succeed within a minute.
func TestDemo(t *testing.T) {
	start := time.Now()
	binary := filepath.Join(t.TempDir(), "tokengate")
	if output, err := exec.Command("go", "build", "-o", binary, "tokengate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	loginCommand, refreshCommand, listCommand := gatewaytest.WalkthroughCommands(t, gatewaytest.PrintWalkthrough(t, binary))

	var login, refreshed gatewaytest.Response
	answers := gatewaytest.RunShell(t, "sh", loginCommand, refreshCommand, listCommand)
	must(t, json.Unmarshal([]byte(answers[0]), &login))
	if login.Refresh == "" || login.Access == "" || login.SessionID == "" {
		t.Errorf("login: got %+v, want two tokens and a session ID", login)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the first login succeeded after %s, want at most a minute", took)
	}
	must(t, json.Unmarshal([]byte(answers[1]), &refreshed))
	if refreshed.Access == "" || refreshed.Refresh == "" || refreshed.Refresh == login.Refresh {
		t.Errorf("refresh: got %+v, want an access token and a new refresh token", refreshed)
	}
	var list map[string]struct {
		Sessions []struct {
			ID   string `json:"session_id"`
			Info string `json:"session_info"`
		}
	}
	must(t, json.Unmarshal([]byte(answers[2]), &list))
	if long := list["Long"].Sessions; len(long) != 1 || long[0].ID != login.SessionID || long[0].Info != "my first device" {
		t.Errorf("list: got %+v, want only the session %s", list, login.SessionID)
	}
}

// TestDemoPrintsGeneratedValuesOnly sets the demo app's secret or its users. The program
// must print the generated value of the other, and placeholders for what is set.
func TestDemoPrintsGeneratedValuesOnly(t *testing.T) {
	binary := gatewaytest.Binary(t)
	for name, c := range map[string]struct {
		settings     []string
		placeholders []string // placeholder, value, placeholder, value...
	}{
		"secret": {[]string{"TOKENGATE_APP_DEMO_SECRET_KEY=my-own-secret"}, []string{"YOUR_SECRET_KEY", "my-own-secret"}},
		"users":  {[]string{"TOKENGATE_APP_DEMO_USERS=file:" + wireUsers(t)}, []string{"YOUR_USERNAME", "alice", "YOUR_PASSWORD", "alice-pw-1"}},
	} {
		printed := gatewaytest.PrintWalkthrough(t, binary, c.settings...)
		if !strings.Contains(printed, c.placeholders[0]+"\"") || strings.Contains(printed, "my-own-secret") || strings.Contains(printed, "alice-pw-1") {
			t.Fatalf("%s: the program printed\n%s\nwant the placeholder %s and no value of a setting", name, printed, c.placeholders[0])
		}
		var login gatewaytest.Response
		command, _, _ := gatewaytest.WalkthroughCommands(t, strings.NewReplacer(c.placeholders...).Replace(printed))
		must(t, json.Unmarshal([]byte(gatewaytest.RunShell(t, "sh", command)[0]), &login))
		if login.Access == "" {
			t.Errorf("%s: login: got %+v, want an access token", name, login)
		}
	}
}
