package api

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"time"

	"tokengate/api/listen"
	"tokengate/session"
)

// exchange is one request with its answer, and what the log line and the metrics
// report about it. It is the http.ResponseWriter that the handlers get. [Observer]
// finds it in the context of the steps that they call.
type exchange struct {
	http.ResponseWriter
	Request *http.Request
	server  *Server
	start   time.Time
	arrival session.Arrival // its Read is start until the body has been read
	id      string          // X-Request-Id
	trace   string          // trace id of the caller, or empty

	endpoint  string // the route's name; empty until a route is found
	pathApp   string // the app in the path where it is fixed text; empty where it is a parameter
	options   bool   // the request is OPTIONS, and the route itself answers it
	debugOnly bool   // log the request at debug level
	challenge string // WWW-Authenticate of a 401
	caller    session.Caller

	clientAddr  netip.Addr // see client
	clientKnown bool

	status       int // 0 until a status has been sent
	code         session.Code
	err          error // why the request failed; for the log only
	app          string
	user         string
	session      session.ID
	largeBody    bool              // see beginLargeBody
	small        io.LimitedReader  // of fill, here so that it is not allocated
	pooled       *[bufferSize]byte // the memory of buffer, from Server.buffers; nil until the first call
	headerValues [4]string         // see setHeader
	headerCount  int               // how many of headerValues are in use
}

type exchangeKey struct{}

// exchangeFrom returns the exchange that a step belongs to, or nil if the step
// was not started by a request.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ctx returns a context for a step. It is not stored in the request because the
// verification of an access token needs no such context, and storing it means
// copying the request, which has a dozen fields.
func (x *exchange) ctx() context.Context {
	return context.WithValue(session.WithArrival(x.Request.Context(), &x.arrival), exchangeKey{}, x)
}

// setHeader sets a header. The name must be in canonical form. The first few
// calls do not allocate the slice that net/http needs.
func (x *exchange) setHeader(name, value string) {
	if x.headerCount == len(x.headerValues) {
		x.Header().Set(name, value)
		return
	}
	x.headerValues[x.headerCount] = value
	x.headerCount++
	x.Header()[name] = x.headerValues[x.headerCount-1 : x.headerCount : x.headerCount]
}

// setDurability sets the header Durability, which reports whether replicas have the
// changes of this request. It does nothing if no replicas were waited for.
func (x *exchange) setDurability(d session.Durability) {
	if d != session.NotRequested {
		x.Header().Set("Durability", string(d))
	}
}

// limitWrite limits how long the client may take to receive what is written next, and the
// whole answer to [listen.AnswerTimeout].
func (x *exchange) limitWrite(d time.Duration) {
	next, last := time.Now().Add(d), x.start.Add(listen.AnswerTimeout)
	if last.Before(next) {
		next = last
	}
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(next) // not supported by writers of tests
}

// Unwrap returns the underlying writer for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. It records the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter]. A handler from another package may
// call it without WriteHeader; the status is then 200.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// contentJSON is shared by all answers; net/http only reads header values.
var contentJSON = []string{"application/json"}

// write sends a JSON answer, or another part of one. It ignores write errors, because the
// client cannot be informed of them.
func (x *exchange) write(status int, body []byte) {
	if x.status == 0 {
		x.Header()["Content-Type"] = contentJSON
		x.WriteHeader(status)
	}
	_, _ = x.Write(body)
}

// bufferSize is the size of a pooled buffer in bytes. Nearly all bodies and
// answers fit. Larger ones are left to the garbage collector.
const bufferSize = 4096

// buffer returns the exchange's buffer with length 0. Each call invalidates the
// previous content.
func (x *exchange) buffer() []byte {
	if x.pooled == nil {
		x.pooled, _ = x.server.buffers.Get().(*[bufferSize]byte)
	}
	if x.pooled == nil {
		x.pooled = new([bufferSize]byte)
	}
	return x.pooled[:0]
}

func (x *exchange) releaseBuffer() {
	if x.pooled != nil {
		x.server.buffers.Put(x.pooled)
		x.pooled = nil
	}
}

// logCaller records the app, user and session of an access token for the log.
func (x *exchange) logCaller(c session.Caller) {
	x.app, x.user, x.session = c.App.Name, c.Claims.User.String(), c.Claims.Session
}

// endpointName returns the endpoint's name for metrics and log, which is "none"
// for a path without a route, and "options" for OPTIONS unless the endpoint accepts any
// method: such a request is often a browser's preflight, and calls no endpoint.
func (x *exchange) endpointName() string {
	switch {
	case x.endpoint == "":
		return "none"
	case x.options:
		return "options"
	}
	return x.endpoint
}

// resultCode returns the code of the request's result.
func (x *exchange) resultCode() session.Code {
	if x.code == "" {
		return session.OK
	}
	return x.code
}

// client returns the client's address. It is invalid if the peer has none, as on a Unix
// socket.
func (x *exchange) client() netip.Addr {
	if !x.clientKnown {
		x.clientAddr, x.clientKnown = x.server.clientOf(x.Request), true
	}
	return x.clientAddr
}

// clientIP returns the client's address as text, or an empty text if there is none.
func (x *exchange) clientIP() string {
	if !x.client().IsValid() {
		return ""
	}
	return x.client().String()
}
