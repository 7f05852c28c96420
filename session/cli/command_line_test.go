package cli

import (
	"slices"
	"strings"
	"testing"
)

// TestFlagsInAnyPlace checks where flags may be and how they may be written.
func TestFlagsInAnyPlace(t *testing.T) {
	for i, line := range []string{
		"user add bob --app shop --id 7", "user --app shop add bob --id 7", "--app shop --id 7 user add bob", "user add --app shop --id 7 bob",
		"user add -app shop bob -id=7", "user add --id=7 --app=shop -- bob", "user --id 7 add -app=shop bob",
	} {
		c := newCLITest(t)
		if out := c.must("first password", line); out != "7\n" || c.account("bob").ID.String() != "7" {
			t.Errorf("line %d, %s: got the output %q and the user %+v, want bob with the id 7", i, line, out, c.account("bob"))
		}
	}
	c := newCLITest(t)
	c.must("first password", "user add --app shop -- --bob")
	if c.account("--bob").ID.IsZero() {
		t.Error("a name after -- is not taken as it is")
	}
	c.must("", "user show --name --bob --app shop") // a flag's value is never a flag
}

func TestHelp(t *testing.T) {
	c := newCLITest(t)
	c.env = nil // no settings are needed
	program := c.must("", "--help")
	for _, line := range []string{"-h", "help", "-help", "--help --app x"} {
		if out := c.must("", line); out != program {
			t.Errorf("%s: got\n%s\nwant the same as for --help", line, out)
		}
	}
	if !strings.Contains(program, "`tokengate COMMAND --help` explains a command") {
		t.Errorf("--help does not say how a command is explained: got\n%s", program)
	}
	for _, cmd := range commands {
		if !strings.Contains(program, "\n  "+cmd.name+" ") {
			t.Errorf("--help does not list %q", cmd.name)
		}
		want := "usage: tokengate " + cmd.name
		for _, line := range []string{cmd.name + " --help", cmd.name + " -h", cmd.name + " help", "help " + cmd.name, "--help " + cmd.name, cmd.name + " x y z --app shop --help"} {
			if out := c.must("", line); !strings.HasPrefix(out, want) || c.stderr.Len() > 0 {
				t.Errorf("%s: got %q and %q on standard error, want the help of %s", line, out, &c.stderr, cmd.name)
			}
		}
		for _, name := range cmd.flags {
			if out := c.must("", cmd.name+" --help"); !strings.Contains(out, "\n  --"+name) {
				t.Errorf("%s --help does not explain --%s", cmd.name, name)
			}
		}
	}
	for _, line := range []string{"user --help", "user -h", "user help", "help user"} {
		if out := c.must("", line); !strings.Contains(out, "\n  user add ") || strings.Contains(out, "sessions end") {
			t.Errorf("%s: got %q, want the commands of user only", line, out)
		}
	}
	if out := c.must("", "user help passwd"); !strings.HasPrefix(out, "usage: tokengate user passwd") {
		t.Errorf("user help passwd: got %q", out)
	}
	for _, line := range []string{"version", "-v", "--version", "-version"} {
		if out := c.must("", line); !strings.HasPrefix(out, "tokengate ") {
			t.Errorf("%s: got %q, want the version", line, out)
		}
	}
}

// TestHelpIsAlsoAUsername checks that a user can have the name "help".
func TestHelpIsAlsoAUsername(t *testing.T) {
	c := newCLITest(t)
	c.must("first password", "user add help --app shop --id 3")
	if c.account("help").ID.String() != "3" {
		t.Errorf("user add help --app shop: got the output %q, want a user", &c.stdout)
	}
}

// TestCommandLineFaults checks the errors for command lines that are not valid. No settings
// are read for them.
func TestCommandLineFaults(t *testing.T) {
	c := newCLITest(t)
	c.env = nil
	for line, texts := range map[string][]string{
		"sevre":                                {`unknown command "sevre"`, "did you mean `tokengate serve`?", "usage: tokengate [COMMAND]"},
		"usr add":                              {`unknown command "usr"`, "did you mean `tokengate user`?"},
		"user delete bob":                      {`unknown command "user delete"`, "user remove "},
		"user paswd bob":                       {"did you mean `tokengate user passwd`?"},
		"help frob":                            {`unknown command "frob"`},
		"user":                                 {"`tokengate user` needs one of its commands", "user import "},
		"sessions --app shop":                  {"needs one of its commands", "sessions end "},
		"user add bob":                         {"--app APP is missing", "usage: tokengate user add NAME"},
		"user add --app shop":                  {"NAME is missing", "usage: tokengate user add"},
		"user import --app shop":               {"FILE is missing"},
		"user add bob carl --app shop":         {`unexpected argument "carl"`},
		"user list alice --app shop":           {`unexpected argument "alice"`},
		"user add bob --ap shop":               {"unknown flag --ap; did you mean --app?"},
		"user add bob --app shop --password x": {"unknown flag --password; did you mean --"},
		"user add bob --integer_id --app shop": {"unknown flag --integer_id; did you mean --integer-id?"},
		"user add bob ---app shop":             {"bad flag syntax"},
		"user add bob --app":                   {"--app needs a value: --app APP"},
		"user add bob --app=":                  {"--app is empty"},
		"user add bob --app shop --app bank":   {"--app is given twice"},
		"user list --app shop --all":           {"`tokengate user list` does not take --all"},
		"user passwd --app shop":               {"give one of NAME, --name, --user"},
		"user show a --user 1 --app shop":      {"give only one of NAME, --name, --user"},
		"user show --name a --user 1 --app a":  {"give only one of NAME, --name, --user"},
		"sessions list --app shop":             {"give one of --user, --name"},
		"sessions end --app shop":              {"give one of --user, --name, --all"},
		"sessions end --app shop --all=false":  {"give one of --user, --name, --all"},
		"sessions end --all --app a --user 1":  {"give only one of --user, --name, --all"},
		"sessions end --session x --app a":     {"give one of --user, --name, --all"},
		"sessions end --user= --app a":         {"--user is empty"},
		"sessions list --user 1 --all --app a": {"`tokengate sessions list` does not take --all"},
		"env --html":                           {"unknown flag --html; did you mean --markdown?"},
		"env x":                                {`unexpected argument "x"`},
		"serve --listen=:80":                   {"serve takes no arguments; settings come from the environment, see `tokengate env`"},
		"check web":                            {"check takes no arguments"},
		"version -v":                           {"version takes no arguments"},
	} {
		c.mustFail("", line, texts...)
	}
	c.in = strings.NewReader("")
	if err := c.runArgs("sessions", "end", "--app", "shop", "--user", ""); err == nil || !strings.Contains(err.Error(), "--user is empty") {
		t.Errorf("an empty user: got %v, want an error", err)
	}
}

// TestCommandTable checks that the flags of each command exist, and those that it requires
// are among them.
func TestCommandTable(t *testing.T) {
	for _, cmd := range commands {
		for _, name := range cmd.flags {
			if flagTexts[name].meaning == "" {
				t.Errorf("%s: the flag %s is not explained", cmd.name, name)
			}
		}
		for _, name := range slices.Concat(cmd.required, cmd.oneOf) {
			if flagName, isFlag := strings.CutPrefix(name, "--"); (isFlag || name == "app") && !slices.Contains(cmd.flags, flagName) {
				t.Errorf("%s requires the flag %s, which it does not take", cmd.name, name)
			}
		}
	}
}
