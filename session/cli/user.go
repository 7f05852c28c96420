package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"tokengate/session"
	"tokengate/session/password"
	"tokengate/session/users"
)

// userCommand changes the users of one app in a session.Directory. Passwords are read
// from in, never from the arguments, which other users of the machine can see.
type userCommand struct {
	app       string
	directory session.Directory
	// revoke revokes all sessions of a user whose account was disabled or whose
	// password was changed.
	revoke func(ctx context.Context, user session.UserID) (session.Durability, error)
	in     io.Reader
	out    io.Writer
	err    io.Writer // for warnings
}

// userUsageLine lists the subcommands and flags.
const userUsageLine = "user add|passwd|disable|enable|list|import --app APP [USERNAME or FILE] [--id ID] [--claims JSON]"

const userUsage = `give one of:
  add USERNAME [--id ID] [--claims JSON] password on standard input
  passwd USERNAME                        new password on standard input; revokes the user's sessions
  disable USERNAME                       revokes the user's sessions
  enable USERNAME
  list
  import FILE                            a user file, or the output of manage.py dumpdata auth.user; - for standard input`

// run runs one subcommand: args holds its name and arguments. It warns about pending
// changes, including those made before an error.
func (c *userCommand) run(ctx context.Context, args []string) error {
	durability, err := c.dispatch(ctx, args)
	warnPending(c.err, durability)
	return err
}

// dispatch runs one subcommand and returns how durable its changes are.
func (c *userCommand) dispatch(ctx context.Context, args []string) (session.Durability, error) {
	if len(args) == 0 {
		return "", errors.New(userUsage)
	}
	command, args := args[0], args[1:]
	switch {
	case command == "list" && len(args) == 0:
		return "", c.list(ctx)
	case len(args) == 0:
		return "", errors.New(userUsage)
	case command == "add":
		return c.add(ctx, args[0], args[1:])
	case len(args) > 1:
		return "", errors.New(userUsage)
	case command == "passwd":
		return c.passwd(ctx, args[0])
	case command == "disable":
		return c.change(ctx, args[0], true, func(a *session.Account) { a.Active = false })
	case command == "enable":
		return c.change(ctx, args[0], false, func(a *session.Account) { a.Active = true })
	case command == "import":
		return c.importFile(ctx, args[0])
	}
	return "", errors.New(userUsage)
}

// add adds a user and prints the id, which is random unless -id gives one.
func (c *userCommand) add(ctx context.Context, username string, args []string) (session.Durability, error) {
	flags := flag.NewFlagSet("add", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	id := flags.String("id", string(session.NewID()), "")
	claims := flags.String("claims", "", "")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return "", errors.New(userUsage)
	}
	a := session.Account{Username: username, Active: true}
	err := users.ValidateUsername(username)
	if err != nil {
		return "", err
	}
	if a.ID, err = parseID(*id); err != nil {
		return "", fmt.Errorf("-id: %w", err)
	}
	if a.Claims, err = users.CompactClaims([]byte(*claims)); err != nil {
		return "", fmt.Errorf("-%w", err)
	}
	was, err := c.formerAccount(ctx, a)
	if err != nil {
		return "", err
	}
	if a.Password, err = c.newPassword(); err != nil {
		return "", err
	}
	durability, err := c.directory.PutAccount(ctx, c.app, a, was)
	if session.CodeOf(err) == session.UserExists {
		return "", errors.New("another user was given this name or id in the meantime: see `tokengate user list`")
	}
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(c.out, a.ID)
	return durability, err
}

// formerAccount returns the account that a new user replaces. That is the zero Account,
// or the user's own account if it can't be found by its username: an earlier attempt that
// failed may have left it so. The username is looked up last, so that a user added in
// between is not taken for such an account.
func (c *userCommand) formerAccount(ctx context.Context, a session.Account) (was session.Account, err error) {
	was, err = c.directory.Account(ctx, c.app, a.ID)
	switch {
	case err != nil && session.CodeOf(err) != session.UserUnknown:
		return was, err
	case err == nil && was.Username != a.Username:
		return was, fmt.Errorf("there is already a user with the id %s: %q", a.ID, was.Username)
	}
	_, err = c.directory.FindAccount(ctx, c.app, a.Username)
	switch session.CodeOf(err) {
	case session.OK:
		return was, fmt.Errorf("user %q exists already: use passwd to change the password", a.Username)
	case session.UserUnknown:
		return was, nil
	}
	return was, err
}

// parseID parses digits as a number, which Django's ids are, and everything else as text.
func parseID(s string) (session.UserID, error) {
	if id, err := session.ParseUserID([]byte(s)); err == nil && id.String() == s {
		return id, nil
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		return session.UserID{}, err
	}
	return session.ParseUserID(quoted)
}

// passwd changes a user's password. It reads the new password before it reads the user,
// because typing takes time, in which the user may be disabled.
func (c *userCommand) passwd(ctx context.Context, username string) (session.Durability, error) {
	hash, err := c.newPassword()
	if err != nil {
		return "", err
	}
	return c.change(ctx, username, true, func(a *session.Account) { a.Password = hash })
}

// change edits one user and, if revoke is true, revokes the user's sessions afterwards,
// so that sessions created in between are revoked too.
func (c *userCommand) change(ctx context.Context, username string, revoke bool, edit func(*session.Account)) (session.Durability, error) {
	var a session.Account
	changed, err := retryOnConflict(func() (session.Durability, error) {
		was, err := c.directory.FindAccount(ctx, c.app, username)
		if session.CodeOf(err) == session.UserUnknown {
			return "", fmt.Errorf("unknown user %q: see `tokengate user list`", username)
		}
		if err != nil {
			return "", err
		}
		a = was
		edit(&a)
		return c.directory.PutAccount(ctx, c.app, a, was)
	})
	if err != nil || !revoke {
		return changed, err
	}
	revoked, err := c.revoke(ctx, a.ID)
	if err != nil {
		return changed, fmt.Errorf("the user was changed, but their sessions were not revoked; run the command again: %w", err)
	}
	return changed.And(revoked), nil
}

// maxAttempts bounds the repetitions of retryOnConflict. Operators who work at the same
// time cause fewer.
const maxAttempts = 10

// retryOnConflict runs a step that reads a user and writes a changed one. It repeats the
// step if another change came in between, which the directory reports as UserUnknown. It
// returns the durability of all attempts together.
func retryOnConflict(step func() (session.Durability, error)) (done session.Durability, err error) {
	for range maxAttempts {
		var d session.Durability
		d, err = step()
		if done = done.And(d); session.CodeOf(err) != session.UserUnknown {
			break
		}
	}
	return done, err
}

// newPassword reads a password, one line, and returns its hash.
func (c *userCommand) newPassword() (string, error) {
	if file, ok := c.in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprint(c.out, "password (shown as you type; pipe it in to avoid that): ")
		}
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	text := strings.TrimRight(line, "\r\n")
	if text == "" {
		return "", errors.New("the password is empty: give it on standard input")
	}
	return password.NewHash(text), nil
}

// list prints the app's users as a table, in order of their names.
func (c *userCommand) list(ctx context.Context) error {
	accounts, err := c.directory.Accounts(ctx, c.app)
	if err != nil {
		return err
	}
	columns := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(columns, "ID\tUSERNAME\tACTIVE")
	for _, a := range accounts {
		fmt.Fprintf(columns, "%s\t%s\t%t\n", a.ID, a.Username, a.Active)
	}
	return columns.Flush()
}
