package api_test

import (
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/api"
	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/password"
	"tokengate/session/token"
	"tokengate/session/users"
)

// newShop returns the engine of one app, "shop", with one user, alice, as in the example
// of package session.
func newShop(observer session.Observer) *session.Engine {
	signer, err := token.New(token.Options{App: "shop", SigningKey: "a signing key has at least 32 bytes"})
	if err != nil {
		log.Fatal(err)
	}
	source, err := users.Static([]session.Account{
		{ID: session.NumberID(1), Username: "alice", Password: password.NewHash("correct horse"), Active: true},
	}, users.Options{Queue: password.NewQueue(0, 0, nil), DummyKey: []byte("a secret, the same on all instances")})
	if err != nil {
		log.Fatal(err)
	}
	policy := session.Policy{Lifetime: 30 * 24 * time.Hour, AbsoluteLifetime: 90 * 24 * time.Hour}
	store := memstore.New(memstore.Options{})
	engine, err := session.New(session.Config{
		Apps: []session.App{{
			Name: "shop", Secrets: []string{"the secret of the shop"}, AccessLifetime: 5 * time.Minute,
			Policies: map[session.Type]session.Policy{session.Long: policy, session.Short: policy},
			Signer:   signer, Devices: signer, Checker: source, AccountKey: users.AccountKey([]byte("a secret, the same on all instances")),
		}},
		Store:       store,
		Limiter:     store.Limiter(),
		Revocations: session.NewRevocationList(5*time.Minute, 10*time.Second, nil),
		Observer:    observer,
	})
	if err != nil {
		log.Fatal(err)
	}
	return engine
}

// A client logs in, and a proxy asks whether requests with the access token are allowed.
func Example() {
	metrics, err := api.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		log.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	server, err := api.New(api.Options{
		Engine: newShop(api.NewObserver(metrics, logger)), Logger: logger, Metrics: metrics,
	})
	if err != nil {
		log.Fatal(err)
	}
	send := func(method, path, body, bearer string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		w := httptest.NewRecorder()
		server.Public().ServeHTTP(w, r)
		return w
	}
	const login = `{"secret_key": "the secret of the shop", "username": "alice", "password": %q, "session": "LONG", "info": "phone"}`
	rejected := send("POST", "/api/session/login/", fmt.Sprintf(login, "wrong"), "")
	fmt.Println("login:", rejected.Code, rejected.Body)

	accepted := send("POST", "/api/session/login/", fmt.Sprintf(login, "correct horse"), "")
	var tokens struct{ Access string }
	if err := json.Unmarshal(accepted.Body.Bytes(), &tokens); err != nil {
		log.Fatal(err)
	}
	allowed := send("GET", "/apps/shop/authz", "", tokens.Access)
	fmt.Println("proxy:", allowed.Code, "user", allowed.Header().Get("X-Auth-User"))
	forged := send("GET", "/apps/shop/authz", "", tokens.Access[1:])
	fmt.Println("proxy:", forged.Code)
	// Output:
	// login: 400 {"non_field_errors":["Invalid Credentials or not active account found!"],"code":"invalid_credentials"}
	// proxy: 200 user 1
	// proxy: 401
}
