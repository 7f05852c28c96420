package api

import (
	"context"
	"net/http"
	"time"

	"tokengate/session"
)

// exchange is one request on its way to its answer, and all that the log line
// and the counters will say of it. It is the http.ResponseWriter that the
// handlers get, and the Observer finds it in the context of their steps.
type exchange struct {
	http.ResponseWriter
	Request *http.Request
	server  *Server
	start   time.Time
	id      string // X-Request-Id

	endpoint  string // of the route; empty while none is found
	pathApp   string // the app that the path names; empty where a parameter does
	quiet     bool   // logged at debug level
	challenge string // WWW-Authenticate of a 401
	caller    session.Caller

	status  int // 0: nothing sent yet
	code    session.Code
	err     error // why it was refused, for the log only
	app     string
	user    string
	session session.ID
	scratch *[bufferSize]byte
	values  [4]string // header values of this answer: see setHeader
	set     int       // how many of them
}

type exchangeKey struct{}

// exchangeIn gives the exchange that a step belongs to, nil outside requests.
func exchangeIn(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ctx is the context of a step. It is made when one is asked for: the
// verification of an access token needs none, and a copy of the request for it
// costs a dozen fields.
func (x *exchange) ctx() context.Context {
	return context.WithValue(x.Request.Context(), exchangeKey{}, x)
}

// setHeader sets a header whose name is canonical, without an allocation for
// the list that net/http wants.
func (x *exchange) setHeader(name, value string) {
	if x.set == len(x.values) {
		x.Header().Set(name, value)
		return
	}
	x.values[x.set] = value
	x.set++
	x.Header()[name] = x.values[x.set-1 : x.set : x.set]
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader notes the status on its way.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write notes that a handler of another make has answered.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// contentJSON is shared by all answers: net/http only reads header values.
var contentJSON = []string{"application/json"}

// write sends a JSON answer. What can't be sent has nobody to be told to.
func (x *exchange) write(status int, body []byte) {
	x.Header()["Content-Type"] = contentJSON
	x.WriteHeader(status)
	_, _ = x.Write(body)
}

// bufferSize is what nearly all bodies and answers fit into, in bytes; the
// others are left to the garbage collector.
const bufferSize = 4096

// buffer gives the exchange's buffer, empty: what it held is over.
func (x *exchange) buffer() []byte {
	if x.scratch == nil {
		x.scratch, _ = x.server.buffers.Get().(*[bufferSize]byte)
	}
	if x.scratch == nil {
		x.scratch = new([bufferSize]byte)
	}
	return x.scratch[:0]
}

func (x *exchange) release() {
	if x.scratch != nil {
		x.server.buffers.Put(x.scratch)
		x.scratch = nil
	}
}

// note remembers for the log whose token this is.
func (x *exchange) note(c session.Caller) {
	x.app, x.user, x.session = c.App.Name, c.Claims.User.String(), c.Claims.Session
}

// endpointName is the endpoint as metrics and log call it.
func (x *exchange) endpointName() string {
	if x.endpoint == "" {
		return "none"
	}
	return x.endpoint
}

// word is the code that the request came to.
func (x *exchange) word() session.Code {
	if x.code == "" {
		return session.OK
	}
	return x.code
}

// clientText is the client's address; empty where the peer has none, as on a
// Unix socket.
func (x *exchange) clientText() string {
	client := x.server.client(x.Request)
	if !client.IsValid() {
		return ""
	}
	return client.String()
}
