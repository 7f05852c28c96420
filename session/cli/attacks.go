package cli

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"tokengate/session"
)

// listAttacks prints what the limits of failed logins have refused, or forgets the failures
// of one account.
func listAttacks(ctx context.Context, c *appCommand) error {
	name, one := c.flags["name"]
	if c.flags["forget"] != "" {
		if !one {
			return c.usageError("--forget needs --name NAME")
		}
		account, err := c.Engine.ForgetFailures(ctx, c.app, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.Out, "the failed logins of account %s are forgotten\n", account)
		return err
	}
	refusals, err := c.Engine.Refusals(ctx, c.app)
	if err != nil {
		return err
	}
	if one {
		account := c.Engine.App(c.app).AccountKey(name)
		refusals = slices.DeleteFunc(refusals, func(r session.Refusals) bool { return r.Limit != session.LimitAccount || r.Key != account })
		if len(refusals) == 0 {
			_, err := fmt.Fprintf(c.Out, "account %s is not among the most refused\n", account)
			return err
		}
	}
	columns := tabwriter.NewWriter(c.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(columns, "LIMIT\tKEY\tREFUSED")
	for _, r := range refusals {
		fmt.Fprintf(columns, "%s\t%s\t%d\n", r.Limit, printable(r.Key), r.Count)
	}
	return columns.Flush()
}
