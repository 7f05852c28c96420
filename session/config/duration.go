package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day         = 24 * time.Hour
	longestDays = int64(math.MaxInt64 / day) // the longest Duration, some 292 years
)

// parseDuration parses Go's durations and whole days, such as "30d". It returns an error
// if the text is neither, or if a Duration can't hold it.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseInt(days, 10, 64); err == nil && n >= 0 && n <= longestDays {
			return time.Duration(n) * day, nil
		}
	} else if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	return 0, fmt.Errorf("give a duration such as 90s, 12h or 30d; %dd is the longest", longestDays)
}

// formatDuration returns a text that [parseDuration] parses as d, in whole days if
// possible and without units that are zero at the end, such as "30d" or "12h".
func formatDuration(d time.Duration) string {
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
