package cli

import (
	"context"
	"fmt"
	"os"

	"tokengate/session"
	"tokengate/session/users"
)

// importFile imports the users of a file, or of standard input if path is "-". It checks
// the whole file before it writes the first user.
func (c *userCommand) importFile(ctx context.Context, path string) (all session.Durability, err error) {
	in := c.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	accounts, warnings, err := users.Import(in, users.ImportOptions{})
	if err != nil {
		return "", err
	}
	for _, warning := range warnings {
		fmt.Fprintln(c.err, "warning:", warning)
	}
	for i, a := range accounts {
		done, err := retryOnConflict(func() (session.Durability, error) { return c.importAccount(ctx, a) })
		if all = all.And(done); err != nil {
			return all, fmt.Errorf("imported %d of %d users; %q (id %s) failed: %w", i, len(accounts), a.Username, a.ID, c.importAdvice(ctx, a, err))
		}
	}
	_, err = fmt.Fprintf(c.out, "%d users\n", len(accounts))
	return all, err
}

// importAdvice adds advice on how to continue to err, the error of the import of a.
func (c *userCommand) importAdvice(ctx context.Context, a session.Account, err error) error {
	if session.CodeOf(err) != session.UserExists {
		return fmt.Errorf("run the import again to continue: %w", err)
	}
	holder := "another user"
	if other, err := c.directory.FindAccount(ctx, c.app, a.Username); err == nil {
		holder = "the user with the id " + other.ID.String()
	}
	return session.Fail(session.UserExists, fmt.Errorf(
		"%s has this name: change the name or the id in the file, or import the other user under another name, and run the import again", holder))
}

// importAccount writes one user. If this disables the user or changes their password, it
// also revokes the sessions of the user with this id, whatever the former name. It first
// stores the account in deactivated form, so that a retry after a failure revokes the
// sessions again.
func (c *userCommand) importAccount(ctx context.Context, a session.Account) (all session.Durability, err error) {
	was, err := c.directory.Account(ctx, c.app, a.ID)
	found := session.CodeOf(err) != session.UserUnknown
	if found && err != nil {
		return "", err
	}
	if found && (!a.Active || was.Password != a.Password) {
		if all, err = c.directory.PutAccount(ctx, c.app, deactivated(a), was); err != nil {
			return "", err
		}
		revoked, err := c.revoke(ctx, a.ID)
		if all = all.And(revoked); err != nil {
			return all, err
		}
		was = deactivated(a)
	}
	done, err := c.directory.PutAccount(ctx, c.app, a, was)
	return all.And(done), err
}

// deactivated returns a without a usable password and inactive. It is stored while the
// sessions are being revoked.
func deactivated(a session.Account) session.Account {
	a.Active, a.Password = false, "!"
	return a
}
