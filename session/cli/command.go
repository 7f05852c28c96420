package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tokengate/session/config"
)

// command is one command of the program.
type command struct {
	name     string   // one or two words; the first of two is the group
	usage    string   // the arguments, for the usage line
	summary  string   // one line, for the list of commands
	details  string   // further text, for the command's help
	flags    []string // names of the flags that it takes
	required []string // those that it can't do without
	oneOf    []string // exactly one of these must be given; a name without "--" is the operand's
	run      func(context.Context, *invocation) error
}

// userFlags are the flags of the commands for one user, and nameOrID the ways to give the
// user.
var (
	userFlags = []string{"app", "user", "name"}
	nameOrID  = []string{"NAME", "--name", "--user"}
)

const (
	oneUser      = "(NAME | --user ID) --app APP"
	oneUserText  = "The user is given by their name, or with --user by their id."
	passwordText = "The password is one line of standard input. On a terminal it is not shown and has to be\ntyped twice. PASSWORD_MIN_LENGTH sets its minimum length."
)

// commands lists the commands in the order of the help text.
var commands = []command{
	{name: "serve", summary: "answer requests (the default)", run: withConfig(runServe)},
	{name: "check", summary: "validate the settings and reach Redis and the user sources, without serving", run: withConfig(Program.check)},
	{
		name: "health", summary: "check that the gateway with these addresses is alive, for a container's health command",
		details: "It asks the admin listener, or the public listener if ADMIN_LISTEN is empty. It needs no other\nsetting, and does not look at Redis or the user sources.", run: runHealth,
	},
	{name: "env", usage: "[--markdown]", summary: "print every setting with its default and meaning", flags: []string{"markdown"}, run: runEnv},
	{
		name: "user add", usage: "NAME --app APP [--id ID | --integer-id] [--claims JSON]", summary: "add a user, and print their id",
		details: "The id is random text unless --id or --integer-id is given. With --integer-id it is a\nnumber that no user of the app had before. Django's simplejwt accepts only integer ids\nunless the app has a user model of its own.\n" + passwordText,
		flags:   []string{"app", "id", "integer-id", "claims"}, required: []string{"app"}, oneOf: []string{"NAME"}, run: onUsers((*userCommand).add),
	},
	{
		name: "user passwd", usage: oneUser, summary: "change a user's password; revokes their sessions", details: passwordText + "\n" + oneUserText,
		flags: userFlags, required: []string{"app"}, oneOf: nameOrID, run: onUsers((*userCommand).passwd),
	},
	{
		name: "user disable", usage: oneUser, summary: "forbid a user to log in; revokes their sessions", details: oneUserText,
		flags: userFlags, required: []string{"app"}, oneOf: nameOrID, run: onUsers((*userCommand).disable),
	},
	{
		name: "user enable", usage: oneUser, summary: "allow a user to log in again", details: oneUserText,
		flags: userFlags, required: []string{"app"}, oneOf: nameOrID, run: onUsers((*userCommand).enable),
	},
	{
		name: "user remove", usage: oneUser, summary: "remove a user; revokes their sessions", details: "It asks for no confirmation. " + oneUserText,
		flags: userFlags, required: []string{"app"}, oneOf: nameOrID, run: onUsers((*userCommand).remove),
	},
	{
		name: "user show", usage: oneUser, summary: "print what is kept about a user, except the hash of the password", details: oneUserText,
		flags: userFlags, required: []string{"app"}, oneOf: nameOrID, run: onUsers((*userCommand).show),
	},
	{name: "user list", usage: "--app APP", summary: "list the users", flags: []string{"app"}, required: []string{"app"}, run: onUsers((*userCommand).list)},
	{
		name: "user import", usage: "FILE --app APP", summary: "add and change users from a file",
		details: "FILE is a user file, or the output of `manage.py dumpdata auth.user`; - is standard input.\nThe whole file is checked before the first user is written. Users with a new hash and\nusers that are not active lose their sessions. An import can be repeated.",
		flags:   []string{"app"}, required: []string{"app"}, oneOf: []string{"FILE"}, run: onUsers((*userCommand).importFile),
	},
	{
		name: "user hash", usage: "[--app APP]", summary: "print the hash of a password, for a user file",
		details: passwordText + "\nNo settings are needed; with --app, the minimum length is that of the app.", flags: []string{"app"}, run: hashPassword,
	},
	{
		name: "sessions list", usage: "--app APP (--user ID | --name NAME)", summary: "list a user's live sessions, and those that were revoked",
		flags: userFlags, required: []string{"app"}, oneOf: []string{"--user", "--name"}, run: onApp(listSessions),
	},
	{
		name: "sessions end", usage: "--app APP (--user ID | --name NAME) [--session ID]  or  --app APP --all", summary: "revoke a session, all sessions of a user, or all of an app",
		flags: []string{"app", "user", "name", "session", "all"}, required: []string{"app"}, oneOf: []string{"--user", "--name", "--all"}, run: onApp(endSessions),
	},
	{
		name: "attacks", usage: "--app APP [--name NAME [--forget]]", summary: "list the accounts, devices and networks whose logins were refused most in the last hour",
		details: "An account is shown by the text that stands for its username in the log, because usernames are\nnot stored. With --name, only the account of that username is shown, without its known devices. With\n--forget, the failed logins of the account are forgotten; the limits of networks and of known\ndevices stay.",
		flags:   []string{"app", "name", "forget"}, required: []string{"app"}, run: onApp(listAttacks),
	},
	{
		name: "policy diff", usage: "[--app APP] [--env-file FILE]", summary: "print how many live sessions new settings would end or shorten",
		details: "The settings of this command's own environment are the new ones. Nothing is changed. A session\nwould end or be shortened at the next refresh after the gateways have the new settings.\nThe command goes through all keys in Redis, for which the Redis user needs the right to SCAN.\nLIVE is the number of sessions in Redis. Some of them may already be over under the present settings.",
		flags:   []string{"app", "env-file"}, run: diffPolicies,
	},
	{name: "version", summary: "print the version", run: runVersion},
}

// find returns the command with a name, or nil.
func find(name string) *command {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i]
		}
	}
	return nil
}

// group returns the first of the command's two words, or an empty string.
func (c *command) group() string {
	group, _, found := strings.Cut(c.name, " ")
	if !found {
		return ""
	}
	return group
}

// isGroup reports whether a word is the first of a command's two words.
func isGroup(word string) bool {
	return word != "" && slices.ContainsFunc(commands, func(c command) bool { return c.group() == word })
}

// listCommands returns the usage of a group of commands, or of all commands if group is
// empty.
func listCommands(group string) string {
	var b strings.Builder
	start := "tokengate [COMMAND] [FLAGS]"
	if group != "" {
		start = "tokengate " + group + " COMMAND [FLAGS]"
	}
	b.WriteString("usage: " + start + "\n\n")
	for _, c := range commands {
		if group == "" || c.group() == group {
			fmt.Fprintf(&b, "  %-14s %s\n", c.name, c.summary)
		}
	}
	b.WriteString("\nFlags may be in any place. `tokengate COMMAND --help` explains a command.\n")
	return b.String()
}

// usageLine returns the line that shows the command's arguments.
func (c *command) usageLine() string {
	return strings.TrimRight("usage: tokengate "+c.name+" "+c.usage, " ")
}

// helpText returns the text that explains the command.
func (c *command) helpText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s%s.\n", c.usageLine(), strings.ToUpper(c.summary[:1]), c.summary[1:])
	if c.details != "" {
		b.WriteString(c.details + "\n")
	}
	if len(c.flags) > 0 {
		b.WriteString("\n")
	}
	for _, name := range c.flags {
		text := flagTexts[name]
		fmt.Fprintf(&b, "  --%-14s %s\n", strings.TrimRight(name+" "+text.value, " "), text.meaning)
	}
	return b.String()
}

// check returns an error if the command does not take the arguments of the line, with the
// command's usage.
func (c *command) check(line *commandLine) error {
	if len(c.flags)+len(c.oneOf) == 0 && len(line.flags)+len(line.operands)+len(line.unknown) > 0 {
		return fmt.Errorf("%s takes no arguments; settings come from the environment, see `tokengate env`", c.name)
	}
	err := line.fault
	if line.unknown != "" {
		err = fmt.Errorf("unknown flag --%s; did you mean --%s?", line.unknown, config.Nearest(line.unknown, c.flags))
	}
	for _, name := range line.givenFlags() {
		if err == nil && !slices.Contains(c.flags, name) {
			err = fmt.Errorf("`tokengate %s` does not take --%s", c.name, name)
		}
	}
	for _, name := range c.required {
		if _, given := line.flags[name]; err == nil && !given {
			err = fmt.Errorf("--%s %s is missing", name, flagTexts[name].value)
		}
	}
	if err == nil {
		err = c.checkOneOf(line)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, c.usageLine())
	}
	return nil
}

// checkOneOf returns an error unless exactly one of c.oneOf is given, and no further
// operand.
func (c *command) checkOneOf(line *commandLine) error {
	given, most := 0, 0
	for _, name := range c.oneOf {
		flagName, isFlag := strings.CutPrefix(name, "--")
		_, set := line.flags[flagName]
		switch {
		case !isFlag:
			most = 1
			given += min(len(line.operands), most)
		case set:
			given++
		}
	}
	switch {
	case len(line.operands) > most:
		return fmt.Errorf("unexpected argument %q", line.operands[most])
	case given == 0 && len(c.oneOf) == 1:
		return fmt.Errorf("%s is missing", c.oneOf[0])
	case given == 0 && len(c.oneOf) > 0:
		return fmt.Errorf("give one of %s", strings.Join(c.oneOf, ", "))
	case given > 1:
		return fmt.Errorf("give only one of %s", strings.Join(c.oneOf, ", "))
	}
	return nil
}

// usageError returns an error with the command's usage.
func (in *invocation) usageError(format string, args ...any) error {
	return fmt.Errorf("%s\n%s", fmt.Sprintf(format, args...), in.command.usageLine())
}
