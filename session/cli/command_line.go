package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tokengate/session/config"
)

// flagTexts has every flag of every command: its value in a usage line, which is empty for
// a flag without a value, and its meaning.
var flagTexts = map[string]struct{ value, meaning string }{
	"app":        {"APP", "name of the app, as in TOKENGATE_APPS"},
	"user":       {"ID", "id of the user"},
	"name":       {"NAME", "username of the user; the commands for sessions need USERS=redis: for it"},
	"session":    {"ID", "id of the session"},
	"all":        {"", "all sessions of all users of the app"},
	"id":         {"ID", "id of the new user: digits are a number, everything else is text"},
	"forget":     {"", "forget the failed logins with the username"},
	"integer-id": {"", "give the new user the next number as id"},
	"claims":     {"JSON", "JSON object with more claims for the user's access tokens"},
	"env-file":   {"FILE", "file with lines NAME=value of settings that override the environment; empty lines and lines that begin with # are skipped"},
	"markdown":   {"", "print a Markdown table"},
}

// commandLine is what the program's arguments say. Flags may be in any place.
type commandLine struct {
	words    []string          // arguments that are not flags
	operands []string          // the words after the command's name; set by command
	flags    map[string]string // by name; "true" for a flag without a value
	help     bool              // help was asked for, by a flag or by a word
	unknown  string            // the first flag that does not exist
	fault    error             // the first other fault in a flag
}

// parseArgs splits arguments into words and flags. After "--" all arguments are words.
func parseArgs(args []string) *commandLine {
	line := &commandLine{flags: map[string]string{}}
	set := line.flagSet()
	for len(args) > 0 {
		err := set.Parse(args)
		rest := set.Args()
		switch used := len(args) - len(rest); {
		case errors.Is(err, flag.ErrHelp):
			line.help = true
		case err != nil:
			line.addFault(err)
			rest = args[max(used, 1):]
		case used > 0 && args[used-1] == "--":
			line.words = append(line.words, rest...)
			rest = nil
		case len(rest) > 0:
			line.words = append(line.words, rest[0])
			rest = rest[1:]
		}
		args = rest
	}
	return line
}

// flagSet returns the flags of every command, which store their values in line.flags.
func (line *commandLine) flagSet() *flag.FlagSet {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for name, text := range flagTexts {
		if text.value == "" {
			set.BoolFunc(name, "", func(value string) error {
				on, err := strconv.ParseBool(value)
				switch {
				case err != nil && line.fault == nil:
					line.fault = fmt.Errorf("--%s takes no value", name)
				case on:
					line.flags[name] = "true"
				}
				return nil
			})
			continue
		}
		set.Func(name, "", func(value string) error {
			line.set(name, value)
			return nil
		})
	}
	return set
}

// set sets a flag. An empty value is a fault: if it comes from an unset shell variable, the
// command would act on more than intended.
func (line *commandLine) set(name, value string) {
	_, twice := line.flags[name]
	switch {
	case line.fault != nil:
	case value == "":
		line.fault = fmt.Errorf("--%s is empty", name)
	case twice:
		line.fault = fmt.Errorf("--%s is given twice", name)
	}
	line.flags[name] = value
}

// addFault records an error of package flag, which has no types for its errors.
func (line *commandLine) addFault(err error) {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		if line.unknown == "" {
			line.unknown = name
		}
		return
	}
	if line.fault != nil {
		return
	}
	line.fault = err
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		line.fault = fmt.Errorf("--%s needs a value: --%s %s", name, name, flagTexts[name].value)
	}
}

// command finds the command that the words name, and sets operands. It returns nil if help
// was asked for the whole program or for a group of commands.
func (line *commandLine) command() (*command, error) {
	if len(line.words) == 0 && (line.unknown == "version" || line.unknown == "v") {
		line.unknown = ""
		return find("version"), nil
	}
	line.takeHelp(0)
	if len(line.words) == 0 && line.help {
		return nil, nil
	}
	if len(line.words) == 0 {
		return find("serve"), nil
	}
	group := line.words[0]
	if isGroup(group) {
		line.takeHelp(1)
		if len(line.words) == 1 && line.help {
			return nil, nil
		}
		if len(line.words) == 1 {
			return nil, fmt.Errorf("`tokengate %s` needs one of its commands\n%s", group, listCommands(group))
		}
	}
	for n := min(2, len(line.words)); n > 0; n-- {
		if cmd := find(strings.Join(line.words[:n], " ")); cmd != nil {
			line.operands = line.words[n:]
			line.help = line.help || len(line.flags) == 0 && slices.Equal(line.operands, []string{"help"})
			return cmd, nil
		}
	}
	return nil, line.unknownCommand()
}

// takeHelp removes the word "help" at an index and sets help.
func (line *commandLine) takeHelp(i int) {
	if len(line.words) > i && line.words[i] == "help" {
		line.help = true
		line.words = slices.Delete(line.words, i, i+1)
	}
}

// unknownCommand returns the error for words that are no command.
func (line *commandLine) unknownCommand() error {
	group, name := "", line.words[0]
	if isGroup(name) {
		group, name = name, strings.Join(line.words[:2], " ")
	}
	var names []string
	for _, c := range commands {
		switch {
		case group == "":
			first, _, _ := strings.Cut(c.name, " ")
			names = append(names, first)
		case c.group() == group:
			names = append(names, c.name)
		}
	}
	return fmt.Errorf("unknown command %q; did you mean `tokengate %s`?\n%s", name, config.Nearest(name, names), listCommands(group))
}

// helpText returns the text that explains a command. If cmd is nil, it explains the group
// that the words name, or the whole program.
func (line *commandLine) helpText(cmd *command) string {
	switch {
	case cmd != nil:
		return cmd.helpText()
	case len(line.words) > 0:
		return listCommands(line.words[0])
	}
	return listCommands("")
}

// givenFlags returns the names of the flags that were given, in alphabetical order.
func (line *commandLine) givenFlags() []string { return slices.Sorted(maps.Keys(line.flags)) }
