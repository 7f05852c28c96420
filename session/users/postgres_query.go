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
	checkColumns func(columns []column) error
}

// column is the description of a column.
type column struct {
	name string
	oid  uint32 // of its type
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
	for _, d := range rows.FieldDescriptions() {
		found.columns = append(found.columns, column{d.Name, d.DataTypeOID})
	}
	count := 0
	for ; rows.Next(); count++ {
		found.values = copyValues(rows.RawValues())
	}
	if err := rows.Err(); err != nil {
		return row{}, queryError(err)
	}
	if err = q.checkColumns(found.columns); err == nil && count > 1 {
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

// Positions of the columns that Options.Query documents.
const (
	userID = iota
	userPassword
	userActive
	userClaims // optional
)

func checkUserColumns(columns []column) error {
	if n := len(columns); n != userClaims && n != userClaims+1 {
		return fmt.Errorf("the query returns %d columns: give id, password, is_active and, optionally, claims", n)
	}
	return columns[userActive].checkBoolean()
}

// recheckColumns lists the columns that Options.RecheckQuery documents.
var recheckColumns = []string{"is_active", "password", "claims"}

func checkRecheckColumns(columns []column) error {
	if n := len(columns); n == 0 {
		return errors.New("the query returns 0 columns: give is_active and, optionally, password and claims")
	} else if n == 1 {
		return columns[0].checkBoolean()
	}
	for i, c := range columns {
		if !slices.Contains(recheckColumns, c.name) {
			return fmt.Errorf("the query returns the column %q: name the columns is_active and, optionally, password and claims", c.name)
		}
		if indexColumn(columns[:i], c.name) >= 0 {
			return fmt.Errorf("the query returns the column %s twice", c.name)
		}
	}
	active := indexColumn(columns, "is_active")
	if active < 0 {
		return errors.New("the query does not return the column is_active")
	}
	return columns[active].checkBoolean()
}

func (c column) checkBoolean() error {
	if c.oid != pgtype.BoolOID {
		return errors.New("is_active is not a boolean")
	}
	return nil
}

// indexColumn returns the position of the column with a name, or -1 if there is none.
func indexColumn(columns []column, name string) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.name == name })
}

// optionalColumn is indexColumn for a column of the recheck query other than is_active,
// which a single column is, whatever its name.
func optionalColumn(columns []column, name string) int {
	if len(columns) == 1 {
		return -1
	}
	return indexColumn(columns, name)
}

// queryError returns the session error for an error of PostgreSQL or of the connection:
// UserUnknown if the name or id is not a value of its column's type, so that no user can
// have it, otherwise Unavailable.
func queryError(err error) error {
	const invalidText, outOfRange = "22P02", "22003"
	e, answered := errors.AsType[*pgconn.PgError](err)
	if _, refused := errors.AsType[*pgconn.ConnectError](err); refused { // whatever the reason, no query was sent
		answered = false
	}
	switch {
	case answered && (e.Code == invalidText || e.Code == outOfRange):
		return session.Fail(session.UserUnknown, errNoUser)
	case answered && !slices.Contains(serverErrorClasses, e.Code[:min(2, len(e.Code))]):
		return unavailable(err)
	}
	return unavailable(unansweredError{err})
}

// serverErrorClasses lists the classes of PostgreSQL's errors that any other query would
// get as well: the server or a pooler rejects the connection (08, 28, 3D), lacks resources
// (53), has the table locked (55), or is shutting down (57). An error of any other class
// may concern only the user of the query.
var serverErrorClasses = []string{"08", "28", "3D", "53", "55", "57"}

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

// row is one row as text, with its columns. A null value is nil.
type row struct {
	values  [][]byte
	columns []column
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
	a = session.Account{Username: username, Password: r.hash(userPassword), Active: r.boolean(userActive)}
	if a.ID, err = r.id(); err != nil {
		return a, err
	}
	if a.Active && len(r.values) > userClaims { // the claims of an inactive user are not used
		a.Claims, err = readClaims(a.ID, r.values[userClaims])
	}
	return a, err
}

// status returns the columns that Options.RecheckQuery documents. It fails with
// UserInactive, or with Unavailable if the claims are invalid.
func (r row) status(id session.UserID, f fingerprints) (s session.Status, err error) {
	active := 0
	if len(r.columns) > 1 {
		active = indexColumn(r.columns, "is_active")
	}
	if !r.boolean(active) {
		return s, session.Fail(session.UserInactive, nil)
	}
	if i := optionalColumn(r.columns, "password"); i >= 0 {
		s.Credential = f.of(id, r.hash(i))
	}
	if i := optionalColumn(r.columns, "claims"); i >= 0 {
		if s.Claims, err = readClaims(id, r.values[i]); err != nil {
			return session.Status{}, unavailable(fmt.Errorf("USERS_RECHECK_QUERY: %w", err))
		}
		s.HasClaims = true
	}
	return s, nil
}

// id returns the user id: a number if the column has an integer type, otherwise text.
// So a UUID is a string in a token.
func (r row) id() (session.UserID, error) {
	switch r.columns[userID].oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return session.ParseUserID(r.values[userID])
	}
	quoted, err := json.Marshal(string(r.values[userID]))
	if err != nil {
		return session.UserID{}, err
	}
	return session.ParseUserID(quoted)
}

// hash returns the stored hash in column i. Null is an unusable password.
func (r row) hash(i int) string {
	if r.values[i] == nil {
		return unusableHash
	}
	return string(r.values[i])
}

// boolean returns the value of column i. Null is false.
func (r row) boolean(i int) bool { return string(r.values[i]) == "t" }
