package users

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

// query is a query for one user.
type query struct {
	setting, sql string
	checkColumns func(types []uint32) error
}

// queryRow runs a query that finds at most one user. All columns are requested as text:
// so an id of any type has the form in which a token contains it, and numbers in claims
// keep their digits. The columns are checked even if there is no row, so that a wrong
// query is not taken for an unknown user.
func (p *postgresSource) queryRow(ctx context.Context, q query, arg any) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	rows, err := p.pool.Query(ctx, q.sql, pgx.QueryResultFormats{pgx.TextFormatCode}, arg)
	if err != nil {
		return row{}, queryError(err)
	}
	defer rows.Close()
	var found row
	// The descriptions belong to the connection, which other queries use after the last row.
	for _, column := range rows.FieldDescriptions() {
		found.types = append(found.types, column.DataTypeOID)
	}
	count := 0
	for ; rows.Next(); count++ {
		found.values = copyValues(rows.RawValues())
	}
	if err := rows.Err(); err != nil {
		return row{}, queryError(err)
	}
	if err = q.checkColumns(found.types); err == nil && count > 1 {
		err = errors.New("the query returns more than one user")
	}
	if err != nil {
		return row{}, unavailable(fmt.Errorf("%s: %w", q.setting, err))
	}
	if count == 0 {
		return row{}, session.Fail(session.UserUnknown, errNoUser)
	}
	return found, nil
}

func checkUserColumns(types []uint32) error {
	if n := len(types); n != 3 && n != 4 {
		return fmt.Errorf("the query returns %d columns: give id, password, is_active and, optionally, claims", n)
	}
	return checkBoolean(types[2])
}

func checkRecheckColumns(types []uint32) error {
	if n := len(types); n != 1 {
		return fmt.Errorf("the query returns %d columns: give is_active alone", n)
	}
	return checkBoolean(types[0])
}

func checkBoolean(oid uint32) error {
	if oid != pgtype.BoolOID {
		return errors.New("is_active is not a boolean")
	}
	return nil
}

// queryError returns the session error for an error of PostgreSQL or of the connection:
// UserUnknown if the name or id is not a value of its column's type, so that no user can
// have it, otherwise Unavailable.
func queryError(err error) error {
	const invalidText, outOfRange = "22P02", "22003"
	e, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case answered && (e.Code == invalidText || e.Code == outOfRange):
		return session.Fail(session.UserUnknown, errNoUser)
	case answered && !slices.Contains(serverErrorClasses, e.Code[:min(2, len(e.Code))]):
		return unavailable(err)
	}
	return unavailable(unansweredError{err})
}

// serverErrorClasses lists the classes of PostgreSQL's errors that any other query would
// get as well: the server rejects the connection (28, 3D), lacks resources (53), has the
// table locked (55), or is shutting down (57). An error of any other class may concern
// only the user of the query.
var serverErrorClasses = []string{"28", "3D", "53", "55", "57"}

// unansweredError is the reason why a query got no answer, not even an error that concerns
// its user. It opens the circuit breaker.
type unansweredError struct{ error }

func (e unansweredError) Unwrap() error { return e.error }

// asUnanswered returns err if it contains an unansweredError, otherwise nil.
func asUnanswered(err error) error {
	if _, ok := errors.AsType[unansweredError](err); ok {
		return err
	}
	return nil
}

// row is one row as text, with the types of its columns. A null value is nil.
type row struct {
	values [][]byte
	types  []uint32
}

// copyValues copies values from the driver's buffer, which the next row overwrites.
func copyValues(values [][]byte) [][]byte {
	out := make([][]byte, len(values))
	for i, v := range values {
		if v != nil {
			out[i] = append([]byte{}, v...)
		}
	}
	return out
}

// account returns the user in the columns that Options.Query documents.
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

// id returns the user id: a number if the column has an integer type, otherwise text.
// So a UUID is a string in a token.
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

// boolean returns the value of column i. Null is false.
func (r row) boolean(i int) bool { return string(r.values[i]) == "t" }
