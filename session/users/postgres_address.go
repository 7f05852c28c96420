package users

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresAddress is the address of a postgres source. It may name files with a password,
// certificates or a key, which are replaced while the gateway runs. So it is parsed again
// for each new connection, which reads them again.
type postgresAddress struct {
	spec    string
	timeout time.Duration
	log     *slog.Logger
	now     func() time.Time

	mu       sync.Mutex
	valid    *pgx.ConnConfig // what the address gave last without an error
	loggedAt time.Time       // when the last error was logged
}

// logInterval is the least time between two log lines about files of an address that can't
// be used. Each new connection reads the files, and there may be many in a second.
const logInterval = time.Minute

// open returns the configuration of the pool. Its errors contain nothing that may be a part
// of the password.
func (a *postgresAddress) open() (*pgxpool.Config, error) {
	config, err := poolConfig(a.spec, a.timeout)
	if err != nil {
		return nil, err
	}
	a.valid = config.ConnConfig.Copy()
	config.BeforeConnect = a.beforeConnect
	return config, nil
}

// beforeConnect replaces the configuration of a new connection by one with the present
// content of the files. If they can't be used, it takes their last valid content.
func (a *postgresAddress) beforeConnect(_ context.Context, config *pgx.ConnConfig) error {
	present, err := poolConfig(a.spec, a.timeout)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && present.ConnConfig.Password == "" && a.valid.Password != "" {
		err = errors.New("the password file can't be read or has no line for this host, port, database and user")
	}
	switch {
	case err == nil:
		a.valid = present.ConnConfig
	case a.now().Sub(a.loggedAt) >= logInterval:
		a.loggedAt = a.now()
		a.log.Error("files of USERS can't be used for a new connection: their last valid content stays in use", "error", err)
	}
	*config = *a.valid.Copy()
	return nil
}

// poolConfig parses the address and reads the files that it names.
func poolConfig(spec string, timeout time.Duration) (*pgxpool.Config, error) {
	u, err := url.Parse(spec)
	var query url.Values
	if err == nil {
		query, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil {
		return nil, errors.New("USERS is not a valid postgres URL: give postgres://user:password@host/database, with special characters in user and password percent-encoded")
	}
	config, err := pgxpool.ParseConfig(spec)
	if err != nil {
		if e, ok := errors.AsType[*pgconn.ParseConfigError](err); ok { // its text repeats the address
			err = cmp.Or(e.Unwrap(), errors.New("check the host, the port and the parameters"))
		}
		return nil, fmt.Errorf("USERS is a postgres:// address with invalid settings: %w", err)
	}
	c := config.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = timeout // also bounds connection attempts that the pool makes itself
	}
	if !query.Has("default_query_exec_mode") {
		// A prepared statement belongs to a connection to the server, and a pooler such as
		// PgBouncer lends another one for each transaction. The price is that the server
		// plans each query, in about 0.05 ms.
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	keepClientCertificate(c, cmp.Or(query.Get("sslcert"), os.Getenv("PGSSLCERT")), cmp.Or(query.Get("sslkey"), os.Getenv("PGSSLKEY")))
	return config, nil
}

// keepClientCertificate makes connections use the client certificate that the files contain
// now. Otherwise the driver reads them during the handshake, and connections fail while one
// of the two files is replaced. An encrypted key is left to the driver.
func keepClientCertificate(c *pgx.ConnConfig, certFile, keyFile string) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return
	}
	configs := []*tls.Config{c.TLSConfig}
	for _, f := range c.Fallbacks {
		configs = append(configs, f.TLSConfig)
	}
	for _, t := range configs {
		if t != nil {
			t.Certificates = []tls.Certificate{pair}
		}
	}
}
