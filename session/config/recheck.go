package config

import (
	"errors"
	"time"

	"tokengate/session"
)

// Recheck is the value of RECHECK_USER: how long a user source's answer about a user
// is relied on at refresh. The zero value leaves the choice to the source.
type Recheck struct {
	Set   bool          // whether the setting was given
	Off   bool          // never ask again
	Every time.Duration // how long an answer is relied on; 0 asks each time
}

// parseRecheck parses "off" or a duration. For an empty text it returns the zero value.
func parseRecheck(text string) (Recheck, error) {
	switch text {
	case "":
		return Recheck{}, nil
	case "off":
		return Recheck{Set: true, Off: true}, nil
	}
	d, err := parseDuration(text)
	if err != nil || d < 0 || d > session.MaxAbsoluteLifetime {
		return Recheck{}, errors.New("give a duration from 0s to 400d, such as 30s, or off")
	}
	return Recheck{Set: true, Every: d}, nil
}

// String returns the text that parseRecheck parses.
func (r Recheck) String() string {
	switch {
	case !r.Set:
		return ""
	case r.Off:
		return "off"
	}
	return formatDuration(r.Every)
}
