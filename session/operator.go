package session

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Operator runs an operator's commands about one user's sessions.
type Operator struct {
	Engine *Engine
	Owner  Owner
	Name   string // for the traces
	Out    io.Writer
	Err    io.Writer // for warnings
}

// OperatorUsage lists what Run takes.
const OperatorUsage = "sessions list|end --app APP --user ID [--session ID]"

// Run runs "list", which prints the user's sessions and what became of the last
// ones, or "end", which ends one of them or, without an id, all.
func (o Operator) Run(ctx context.Context, verb string, id ID) error {
	switch {
	case o.Owner.User == "" || verb == "list" && id != "":
	case verb == "list":
		held, err := o.Engine.UserSessions(ctx, o.Owner)
		if err != nil {
			return err
		}
		return held.print(o.Out)
	case verb == "end":
		receipt, err := o.end(ctx, id)
		if err != nil {
			return err
		}
		receipt.Durability.Warn(o.Err)
		_, err = fmt.Fprintf(o.Out, "%d ended\n", len(receipt.Ended))
		return err
	}
	return fmt.Errorf("usage: tokengate %s", OperatorUsage)
}

func (o Operator) end(ctx context.Context, id ID) (Receipt, error) {
	if id != "" {
		receipt, err := o.Engine.EndSession(ctx, o.Owner, id, o.Name)
		if CodeOf(err) == Unknown {
			err = Fail(Unknown, fmt.Errorf("user %s has no session %q: see list for those that he has", o.Owner.User, id))
		}
		return receipt, err
	}
	return o.Engine.EndUser(ctx, o.Owner, CauseOperator, o.Name)
}

// Warn tells an operator that what he has done is Pending, if it is.
func (d Durability) Warn(w io.Writer) {
	if d == Pending {
		fmt.Fprintln(w, "pending: this is done, but too few replicas have it by now: if the primary is lost before they do, so is this")
	}
}

// print writes both lists as a table for a terminal, times in UTC.
func (h Holdings) print(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(columns, "SESSION\tTYPE\tCREATED\tUPDATED\tEXPIRES\tINFO")
	for _, s := range h.Sessions {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%q\n", s.ID, s.Type, utc(s.Created), utc(s.Updated), utc(s.Expires), s.Info)
	}
	if len(h.Ended) > 0 {
		fmt.Fprintln(columns, "\nENDED\tCAUSE\tAT\tBY")
	}
	for _, t := range h.Ended {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", t.ID, t.Cause, utc(t.At), t.By)
	}
	return columns.Flush()
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
