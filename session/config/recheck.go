package config

import (
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

// UnmarshalText reads "off" or a duration. An empty text is the zero value.
func (r *Recheck) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		*r = Recheck{}
		return nil
	case "off":
		*r = Recheck{Set: true, Off: true}
		return nil
	}
	d, ok := ParseDuration(string(text))
	if !ok || d < 0 || d > session.MaxAbsoluteLifetime {
		return advice("give a duration from 0s to 400d, such as 30s, or off")
	}
	*r = Recheck{Set: true, Every: d}
	return nil
}

// String returns the text that UnmarshalText reads.
func (r Recheck) String() string {
	switch {
	case !r.Set:
		return ""
	case r.Off:
		return "off"
	}
	return FormatDuration(r.Every)
}
