// Package cli runs the program's commands. It parses their arguments and prints what they
// return; package main assembles the gateway that they act on.
//
// The standard library's package flag parses the arguments, because it accepts both -flag
// and --flag, as people type them.
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

// Run runs one command with its arguments. It returns when the command is
// done or, for serve, when ctx is.
func (p Program) Run(ctx context.Context, args []string, std Stdio) error {
	if len(args) == 1 && args[0] == WorkerCommand {
		return p.ServeWorker(std.In, std.Out)
	}
	line := parseArgs(args)
	cmd, err := line.command()
	if err != nil {
		return err
	}
	if line.help {
		_, err := fmt.Fprint(std.Out, line.helpText(cmd))
		return err
	}
	if err := cmd.check(line); err != nil {
		return err
	}
	return cmd.run(ctx, &invocation{Program: p, Stdio: std, command: cmd, flags: line.flags, operands: line.operands})
}

// invocation is a command with its arguments, while it runs.
type invocation struct {
	Program
	Stdio
	command  *command
	flags    map[string]string // by name; "true" for a flag without a value
	operands []string          // arguments that are not flags
}

// withConfig returns the run function of a command that takes no arguments and needs the
// settings.
func withConfig(run func(Program, context.Context, *config.Config, Stdio) error) func(context.Context, *invocation) error {
	return func(ctx context.Context, in *invocation) error {
		c, err := config.Read()
		if err != nil {
			return err
		}
		return run(in.Program, ctx, c, in.Stdio)
	}
}

func runServe(p Program, ctx context.Context, c *config.Config, std Stdio) error {
	return p.Serve(ctx, c, std)
}

func runVersion(_ context.Context, in *invocation) error {
	_, err := fmt.Fprintln(in.Out, "tokengate", version(), runtime.Version())
	return err
}
