// Package cli runs the program's subcommands. It parses their arguments and prints
// what they return; package main assembles the gateway that they act on.
package cli

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"tokengate/session/config"
)

// Stdio holds the streams that a command reads and writes, and the path of the program.
type Stdio struct {
	In         io.Reader
	Out, Err   io.Writer
	Executable string // path of the program; empty if it must not start itself again
}

// Program holds the functions that package main provides to the commands.
type Program struct {
	// Assemble connects the parts of a gateway. It opens no connection.
	Assemble func(context.Context, *config.Config, Stdio) (*Gateway, error)
	// Serve answers requests until ctx is done, then lets those in flight finish.
	Serve func(context.Context, *config.Config, Stdio) error
	// ServeWorker compares passwords for the process that started this one.
	ServeWorker func(in io.Reader, out io.Writer) error
}

// WorkerCommand is the command that makes the program a hashing process. Only the
// gateway itself uses it.
const WorkerCommand = "hash-passwords"

const usage = `usage: tokengate [command]

  serve      answer requests (the default)
  env        print every setting with its default and meaning (--markdown: as a Markdown table)
  check      validate the settings and reach Redis and the user sources, without serving
  user       manage the users of an app with USERS=redis: (add, passwd, disable, enable, list, import)
  sessions   show or end a user's sessions (list, end)
  version    print the version
`

// Run runs one command with its arguments and environment. It returns when the
// command is done or, for serve, when ctx is.
func (p Program) Run(ctx context.Context, args, environ []string, std Stdio) error {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if bare := command == "serve" || command == "check" || command == "version"; bare && len(args) > 0 {
		return fmt.Errorf("%s takes no arguments; settings come from the environment, see `tokengate env`", command)
	}
	switch command {
	case "serve":
		return withConfig(ctx, environ, std, p.Serve)
	case "check":
		return withConfig(ctx, environ, std, p.check)
	case "env":
		return env(std.Out, args)
	case "user", "sessions":
		return p.operate(ctx, environ, std, command, args)
	case "version":
		_, err := fmt.Fprintln(std.Out, "tokengate", version(), runtime.Version())
		return err
	case WorkerCommand:
		return p.ServeWorker(std.In, std.Out)
	case "help", "-h", "--help":
		_, err := fmt.Fprint(std.Out, usage)
		return err
	}
	return fmt.Errorf("unknown command %q\n%s", command, usage)
}

// withConfig reads the settings for a command that takes no arguments.
func withConfig(ctx context.Context, environ []string, std Stdio, run func(context.Context, *config.Config, Stdio) error) error {
	c, err := config.Read(environ)
	if err != nil {
		return err
	}
	return run(ctx, c, std)
}
