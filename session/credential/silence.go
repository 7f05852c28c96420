package credential

import (
	"sync"
	"time"
)

// pause is how long a source that could not answer is left alone. Who asks it may
// wait for the whole of Options.Timeout, and keeps a connection busy meanwhile;
// with one question a second the end of a failure is seen soon enough.
const pause = time.Second

// silence is what is known of a source that does not answer. The zero value is
// that it does.
type silence struct {
	mu    sync.Mutex
	err   error     // of the last question; nil: it was answered
	asked time.Time // when that was asked
	until time.Time
}

// refuse gives the error for who would ask now, nil where he may. After the pause
// one may, and the next pause begins at once: the others are not to wait for him.
func (s *silence) refuse(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	if now.Before(s.until) {
		return s.err
	}
	s.until = now.Add(pause)
	return nil
}

// heard notes that a question of some time ago has come to an end now, with an
// error where there was no answer. One that was asked before the last to end
// tells nothing new: it may have waited on a connection that is long dead.
func (s *silence) heard(asked, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !asked.Before(s.asked) {
		s.err, s.asked, s.until = err, asked, now.Add(pause)
	}
}
