// Command floor is what a refresh and a verification cost at the very least:
// the router, the client and the scripts of the gateway, and around them only
// what cannot be left out. A refresh is: decode the body, check one HMAC, run
// one script, sign two tokens, encode. A verification is: check one HMAC. There
// are no policies, passwords, metrics, logs, limits or words for what is wrong.
//
// The gateway's figures mean the same on every machine when they are told as
// ratios to this. Its sessions are its own: the keys differ, the scripts don't.
package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address")
	url := flag.String("redis", "redis://127.0.0.1:6379", "one server, as redis://HOST:PORT")
	pipelined := flag.Bool("auto-pipeline", false, "send the calls of concurrent requests together")
	key := flag.String("key", "", "HS256 signing key")
	flag.Parse()
	f, err := newFloor(*url, *key, *pipelined)
	if err != nil {
		log.Fatal(err)
	}
	r := chi.NewRouter()
	r.Post("/api/session/login/", f.login)
	r.Post("/api/session/refresh/", f.refresh)
	r.Get("/apps/{app}/authz", f.authz)
	log.Fatal((&http.Server{Addr: *listen, Handler: r, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}

type floor struct {
	signer
	client   *redis.Client
	pipeline *redis.AutoPipeliner // nil: each call on a connection of its own
	shas     map[string]string
}

func newFloor(url, key string, pipelined bool) (*floor, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	o.Protocol, o.MaxRetries, o.ContextTimeoutEnabled = 2, -1, true
	f := &floor{signer: newSigner(key), client: redis.NewClient(o), shas: map[string]string{}}
	for _, s := range []lua.Script{lua.Create, lua.Refresh} {
		if f.shas[s.Name], err = f.client.ScriptLoad(context.Background(), s.Text).Result(); err != nil {
			return nil, err
		}
	}
	if pipelined {
		f.pipeline, err = f.client.AsyncAutoPipelineWithOptions(redis.DefaultBlockingAutoPipelineOptions())
	}
	return f, err
}

const day = 24 * 3600 * 1000 // ms

// run runs one script on the six keys that create and refresh have in common.
func (f *floor) run(ctx context.Context, name, user string, rest ...any) ([]any, error) {
	args := make([]any, 0, 24)
	args = append(args, "evalsha", f.shas[name], 6,
		"floor:{"+user+"}:epoch", "floor:{"+user+"}:gone", "floor:{"+user+"}:endings",
		"floor:{"+user+"}:user", "floor:{"+user+"}:LONG", "floor:{"+user+"}:data",
		"0", "604800000|3600000|floor|lab|"+user)
	cmd := redis.NewCmd(ctx, append(args, rest...)...)
	var err error
	if f.pipeline != nil {
		err = f.pipeline.Submit(ctx, cmd).WaitContext(ctx)
	} else {
		err = f.client.Process(ctx, cmd)
	}
	if err != nil {
		return nil, err
	}
	return cmd.Slice()
}

// login asks for no password: it is here to give refresh something to do.
func (f *floor) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Username, Info string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(in.Username, "user"))
	user, id := strconv.Itoa(n+1), string(session.NewID())
	reply, err := f.run(r.Context(), lua.Create.Name, user, "", id, 30*day, 90*day, 5, "1", in.Info, "")
	f.answer(w, reply, err, user, id, `","session_id":"`+id)
}

func (f *floor) refresh(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Refresh string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	c, ok := f.open(in.Refresh, "refresh")
	if !ok {
		http.Error(w, "token", http.StatusUnauthorized)
		return
	}
	user := strconv.FormatInt(c.User, 10)
	terms := binary.BigEndian.AppendUint32(make([]byte, 0, 40), c.Generation)
	terms = binary.BigEndian.AppendUint64(terms, uint64(c.Expires*1000))
	terms = binary.BigEndian.AppendUint32(terms, 30_000)
	terms = binary.BigEndian.AppendUint64(terms, 30*day)
	terms = append(binary.BigEndian.AppendUint64(terms, 15*day), 0, 1, 1, 1)
	reply, err := f.run(r.Context(), lua.Refresh.Name, user, c.Session, terms)
	f.answer(w, reply, err, user, c.Session, "")
}

// answer signs what a reply (word, now, record) entitles to.
func (f *floor) answer(w http.ResponseWriter, reply []any, err error, user, id, more string) {
	if err != nil || len(reply) < 3 {
		http.Error(w, "redis", http.StatusServiceUnavailable)
		return
	}
	now, _ := reply[1].(int64)
	text, _ := reply[2].(string)
	record := []byte(text)
	generation := binary.BigEndian.Uint32(record)
	rotated, expires := int64(binary.BigEndian.Uint64(record[15:])&0xffffffffffff), int64(binary.BigEndian.Uint32(record[23:]))
	b := append(make([]byte, 0, 1024), `{"refresh":"`...)
	b = f.sign(b, "refresh", expires, rotated/1000, user, id, generation)
	b = append(b, `","access":"`...)
	b = f.sign(b, "access", now/1e6+300, now/1e6, user, id, 0)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(append(b, more...), `"}`...))
}

func (f *floor) authz(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !f.verify(token[:len(header)+1+len(payload)], given) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}
