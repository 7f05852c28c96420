package e2e

import (
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
)

// TestUnknownMemberOfUserFile checks that the commands name a misspelt member of a user file.
func TestUnknownMemberOfUserFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "users.json", []byte(`[{"id":1,"username":"alice","password":"!","is_actve":false}]`))
	c := newAccountCommands(t)
	output := c.as(0, "", "user", "import", file, "--app", gatewaytest.App)
	if want := `member "is_actve" has no meaning and is ignored (users with it: 1); did you mean is_active?`; !strings.Contains(output, want) {
		t.Errorf("import: got the output %s, want %q in it", output, want)
	}
	c.env = c.env.with(appPrefix + "USERS=file:" + file)
	if output, want := c.as(0, "", "check"), "member=is_actve users=1 nearest=is_active"; !strings.Contains(output, want) {
		t.Errorf("check: got the output %s, want %q in it", output, want)
	}
}
