// Command baseline does the work of a refresh and of a verification at the lowest
// possible cost. It uses the gateway's router, Redis client and scripts, and apart
// from them does only what cannot be left out. A refresh decodes the body, checks
// one HMAC, runs one script, signs two tokens and encodes the response. A
// verification checks one HMAC. There are no policies, passwords, metrics, logs,
// limits or error codes.
//
// The benchmark divides the gateway's figures by those of the baseline, because
// such ratios can be compared across machines. The baseline's Redis keys are not
// the gateway's, so each has its own sessions.
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
	listen := flag.String("listen", "127.0.0.1:8000", "address to listen on")
	url := flag.String("redis", "redis://127.0.0.1:6379", "a single Redis server, as redis://HOST:PORT")
	pipelined := flag.Bool("auto-pipeline", false, "send the commands of concurrent requests together")
	key := flag.String("key", "", "HS256 signing key")
	flag.Parse()
	b, err := newBaseline(*url, *key, *pipelined)
	if err != nil {
		log.Fatal(err)
	}
	r := chi.NewRouter()
	r.Post("/api/session/login/", b.login)
	r.Post("/api/session/refresh/", b.refresh)
	r.Get("/apps/{app}/authz", b.authz)
	log.Fatal((&http.Server{Addr: *listen, Handler: r, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}

type baseline struct {
	signer
	client   *redis.Client
	pipeline *redis.AutoPipeliner // nil means that each command takes a connection of its own
	shas     map[string]string    // SHA1 digests of the scripts by name, for EVALSHA
}

func newBaseline(url, key string, pipelined bool) (*baseline, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	o.Protocol, o.MaxRetries, o.ContextTimeoutEnabled = 2, -1, true
	b := &baseline{signer: newSigner(key), client: redis.NewClient(o), shas: map[string]string{}}
	for _, s := range []lua.Script{lua.Create, lua.Refresh} {
		if b.shas[s.Name], err = b.client.ScriptLoad(context.Background(), s.Text).Result(); err != nil {
			return nil, err
		}
	}
	if pipelined {
		b.pipeline, err = b.client.AsyncAutoPipelineWithOptions(redis.DefaultBlockingAutoPipelineOptions())
	}
	return b, err
}

const day = 24 * 3600 * 1000 // ms

// run runs one script. The six keys and the first two arguments, the clock and the
// revocation parameters, are the same for create and refresh.
func (b *baseline) run(ctx context.Context, name, user string, rest ...any) ([]any, error) {
	prefix := "baseline:{" + user + "}:"
	const anyTime = "8999999999999999" // the latest start, in Unix µs
	keys := []string{"not_before", "tombstones", "revocations", "user", "LONG", "data"}
	if name == lua.Refresh.Name {
		keys = []string{"not_before", "tombstones", "revocations", "LONG", "data"}
	}
	args := make([]any, 0, 24)
	args = append(args, "evalsha", b.shas[name], len(keys))
	for _, key := range keys {
		args = append(args, prefix+key)
	}
	args = append(args, anyTime, "604800000|3600000|baseline|web|"+user)
	cmd := redis.NewCmd(ctx, append(args, rest...)...)
	var err error
	if b.pipeline != nil {
		err = b.pipeline.Submit(ctx, cmd).WaitContext(ctx)
	} else {
		err = b.client.Process(ctx, cmd)
	}
	if err != nil {
		return nil, err
	}
	return cmd.Slice()
}

// login creates a session for refresh to work on. It checks no password.
func (b *baseline) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Username, Info string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(in.Username, "user"))
	user, id := strconv.Itoa(n+1), string(session.NewID())
	secret := session.NewSecret()
	reply, err := b.run(r.Context(), lua.Create.Name, user, "0", id, 30*day, 90*day, 15*day, 5, "1", in.Info, "", secret[:], "\x00\x00\x00\x00", "")
	b.respond(w, reply, err, user, id, `","session_id":"`+id)
}

func (b *baseline) refresh(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Refresh string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	c, ok := b.parse(in.Refresh, "refresh")
	if !ok {
		http.Error(w, "token", http.StatusUnauthorized)
		return
	}
	user := strconv.FormatInt(c.User, 10)
	// lua/include/terms.lua and refused_terms.lua describe the terms.
	terms := binary.BigEndian.AppendUint32(make([]byte, 0, 72), c.Generation)
	terms = binary.BigEndian.AppendUint64(terms, uint64(c.Expires*1000))
	terms = append(terms, c.secret...)
	terms = binary.BigEndian.AppendUint64(terms, 30*day)
	terms = binary.BigEndian.AppendUint64(terms, 90*day)
	terms = binary.BigEndian.AppendUint64(terms, 15*day)
	terms = append(terms, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0) // no credential; rotate and update; no network
	terms = append(binary.BigEndian.AppendUint32(terms, c.Generation+1), 0)
	terms = binary.BigEndian.AppendUint32(terms, 30_000)
	terms = append(terms, 1, 0)
	reply, err := b.run(r.Context(), lua.Refresh.Name, user, c.Session, terms)
	b.respond(w, reply, err, user, c.Session, "")
}

// respond writes the tokens for a script's reply, which holds a word, the time and
// the session's record. lua/include/prelude.lua describes the record.
func (b *baseline) respond(w http.ResponseWriter, reply []any, err error, user, id, more string) {
	if err != nil || len(reply) < 3 {
		http.Error(w, "redis", http.StatusServiceUnavailable)
		return
	}
	now, _ := reply[1].(int64)
	text, _ := reply[2].(string)
	record := []byte(text)
	generation, secret := binary.BigEndian.Uint32(record[1:]), record[33:41]
	rotated, expires := int64(binary.BigEndian.Uint64(record[16:])&0xffffffffffff), int64(binary.BigEndian.Uint32(record[24:]))
	out := append(make([]byte, 0, 1024), `{"refresh":"`...)
	out = b.sign(out, "refresh", expires, rotated/1000, user, id, generation, secret)
	out = append(out, `","access":"`...)
	out = b.sign(out, "access", now/1e6+300, now/1e6, user, id, 0, nil)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(append(out, more...), `"}`...))
}

func (b *baseline) authz(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	last := strings.LastIndexByte(token, '.')
	if last < 0 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil || !b.verify(token[:last], signature) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}
