// Package listen accepts the connections of the gateway's clients and runs the HTTP servers
// on them. It knows addresses, sockets, certificates and connections, and nothing of what a
// request asks for: package api has the handlers.
//
// [Servers] start and stop together. They serve at TCP addresses or Unix sockets, with or
// without a [Certificate], and a stop lets the requests in flight finish. A bound on the open
// connections of each listener, and on those of each client, keeps clients that are idle,
// slow or many from using up the process's files. At a bound, a new connection takes the
// place of one that waits for its client. A handler that itself waits for its client calls
// [Rest]. [Metrics] count the connections.
//
// Limits are those of a client's [Network]. Peers for which [Trusts] reports true stand for
// many clients.
package listen
