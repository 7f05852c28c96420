package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day         = 24 * time.Hour
	longestDays = int64(math.MaxInt64 / day) // the longest Duration, some 292 years
)

// ParseDuration parses Go's durations and whole days, such as "30d". ok is false if the
// text is neither, or if a Duration can't hold it.
func ParseDuration(text string) (d time.Duration, ok bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > longestDays {
			return 0, false
		}
		return time.Duration(n) * day, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// FormatDuration returns a text that [ParseDuration] parses as d, in whole days if
// possible and without units that are zero at the end, such as "30d" or "12h".
func FormatDuration(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
