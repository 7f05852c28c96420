package redistest

import "strings"

// WaitInSync waits until a replica of s has received everything that s has written.
func (s *Server) WaitInSync(replica *Server) {
	s.tb.Helper()
	replica.waitUntil("is in sync with "+s.Addr, func() bool {
		info := replica.Do("INFO", "replication")
		return strings.Contains(info, "master_link_status:up") &&
			infoField(info, "slave_repl_offset") == infoField(s.Do("INFO", "replication"), "master_repl_offset")
	})
}

// waitAcknowledged waits until a replica has acknowledged everything that s has written.
// A new replica may take a second for its first acknowledgement, and until then s does
// not send it anything.
func (s *Server) waitAcknowledged() {
	s.tb.Helper()
	s.Do("PUBLISH", "redistest", "") // replicated, but changes no data
	s.waitUntil("is replicated", func() bool {
		info := s.Do("INFO", "replication")
		return strings.Contains(info, "state=online,offset="+infoField(info, "master_repl_offset")+",")
	})
}

// infoField returns a field of an INFO reply.
func infoField(info, name string) string {
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}
