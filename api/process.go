package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// Process has what the Servers of one process share: new settings make a new Server. It is
// safe for concurrent use. Create one with [NewProcess].
type Process struct {
	refused *refusedLogins
	large   *largeLists

	timedProfile, profile atomic.Bool // one is being taken
	forwarded             atomic.Int64
	largeBodies           atomic.Int32 // being read and parsed
}

// NewProcess returns what the Servers of one process share.
func NewProcess() *Process {
	return &Process{refused: newRefusedLogins(refusalDelay), large: newLargeLists()}
}

// forwardedInterval is the least time between two warnings about a proxy that is not trusted.
const forwardedInterval = time.Hour

// warnForwarded logs that a peer that is not trusted sends the header of a proxy, but not
// again for an hour.
func (p *Process) warnForwarded(log *slog.Logger, peer netip.Addr) {
	now, next := time.Now().UnixNano(), p.forwarded.Load()
	if now < next || !p.forwarded.CompareAndSwap(next, now+int64(forwardedInterval)) {
		return
	}
	log.Warn("a peer that is not in TOKENGATE_TRUSTED_PROXIES sends X-Forwarded-For or Forwarded, which is ignored: if it is your proxy, "+
		"add its address there, because limits take all clients behind it for one", slog.String("peer", peer.String()))
}

// isForwarded reports whether a request has a header with which proxies name the client.
func isForwarded(r *http.Request) bool {
	return r.Header["X-Forwarded-For"] != nil || r.Header["Forwarded"] != nil
}
