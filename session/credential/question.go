package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"tokengate/session"
)

// question is a query and what its columns must be.
type question struct {
	setting, query string
	columns        func(types []uint32) error
}

// one asks a question that finds a user or none. Every column comes as text: an
// id of any type stands as the token will carry it, and the numbers in claims
// keep their digits. The columns are looked at even where no row comes, so that
// a wrong query is told from an unknown user.
func (p *postgres) one(ctx context.Context, q question, arg any) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	rows, err := p.pool.Query(ctx, q.query, pgx.QueryResultFormats{pgx.TextFormatCode}, arg)
	if err != nil {
		return row{}, queryFailed(err)
	}
	defer rows.Close()
	var found row
	for _, column := range rows.FieldDescriptions() { // now: after the last row the connection, whose they are, is another question's
		found.types = append(found.types, column.DataTypeOID)
	}
	count := 0
	for ; rows.Next(); count++ {
		found.values = copied(rows.RawValues())
	}
	if err := rows.Err(); err != nil {
		return row{}, queryFailed(err)
	}
	if err = q.columns(found.types); err == nil && count > 1 {
		err = errors.New("it gives more than one user")
	}
	if err != nil {
		return row{}, unavailable(fmt.Errorf("%s: %w", q.setting, err))
	}
	if count == 0 {
		return row{}, session.Fail(session.UserUnknown, errNoUser)
	}
	return found, nil
}

func userColumns(types []uint32) error {
	if n := len(types); n != 3 && n != 4 {
		return fmt.Errorf("it gives %d columns: give id, password, is_active and, if wanted, claims", n)
	}
	return booleanColumn(types[2])
}

func recheckColumns(types []uint32) error {
	if n := len(types); n != 1 {
		return fmt.Errorf("it gives %d columns: give is_active alone", n)
	}
	return booleanColumn(types[0])
}

func booleanColumn(oid uint32) error {
	if oid != pgtype.BoolOID {
		return errors.New("is_active is not a boolean")
	}
	return nil
}

// queryFailed tells a value that its column's type can't hold, so that nobody
// has it, from a source that can't answer.
func queryFailed(err error) error {
	const invalidText, outOfRange = "22P02", "22003"
	e, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case answered && (e.Code == invalidText || e.Code == outOfRange):
		return session.Fail(session.UserUnknown, errNoUser)
	case answered && !slices.Contains(busyClasses, e.Code[:min(2, len(e.Code))]):
		return unavailable(err)
	}
	return unavailable(noAnswer{err})
}

// busyClasses are those of PostgreSQL's errors that another question would meet
// with as well: it refuses a login, lacks resources, has the table locked, or is
// being stopped. Any other may be about the one user who was asked for.
var busyClasses = []string{"28", "3D", "53", "55", "57"}

// noAnswer is why a question had no answer, not even a wrong one.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error { return e.error }

// silent gives err where it tells that there was no answer, else nil.
func silent(err error) error {
	if _, ok := errors.AsType[noAnswer](err); ok {
		return err
	}
	return nil
}

// row is one row as text, nil for null, with the types of its columns.
type row struct {
	values [][]byte
	types  []uint32
}

// copied takes values out of the driver's buffer, which the next row is read
// into.
func copied(values [][]byte) [][]byte {
	out := make([][]byte, len(values))
	for i, v := range values {
		if v != nil {
			out[i] = append([]byte{}, v...)
		}
	}
	return out
}

// account reads the columns that Options.Query documents.
func (r row) account(username string) (a session.Account, err error) {
	a = session.Account{Username: username, Password: "!", Active: r.boolean(2)}
	if a.ID, err = r.id(); err != nil {
		return a, err
	}
	if r.values[1] != nil {
		a.Password = string(r.values[1])
	}
	if len(r.values) == 4 {
		a.Claims, err = readClaims(a.ID, r.values[3])
	}
	return a, err
}

// id is a number where its column is, else text: UUIDs, too, are strings in a
// token.
func (r row) id() (session.UserID, error) {
	switch r.types[0] {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return session.ParseUserID(r.values[0])
	}
	quoted, err := json.Marshal(string(r.values[0]))
	if err != nil {
		return session.UserID{}, err
	}
	return session.ParseUserID(quoted)
}

// boolean reads a column; null is false.
func (r row) boolean(i int) bool { return string(r.values[i]) == "t" }
