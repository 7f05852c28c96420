// Package settings reads the gateway's settings from environment variables.
//
// A setting is a struct field with an `env` tag (its name), a `desc` tag (its
// meaning in one line) and, where the value is secret, `secret:"true"`. The
// value that the field holds before Load is its default, so the table that
// Rows makes cannot differ from what the program does. Each package declares
// the struct of its own options; package main nests them.
//
// Durations are Go's plus whole days ("30d"). A setting NAME that is secret may
// be given as NAME_FILE, the path of a file that holds it; giving both is an
// error. Errors name the setting and what it takes, never the value.
package settings

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Env is an environment: names and values. It remembers which names were asked
// for, so that Unknown can tell what nobody reads.
type Env struct {
	values map[string]string
	asked  map[string]bool
}

// NewEnv makes an Env of "NAME=value" lines, as os.Environ gives them.
func NewEnv(lines []string) *Env {
	env := &Env{values: make(map[string]string, len(lines)), asked: map[string]bool{}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		env.values[name] = value
	}
	return env
}

// Load fills the fields of dst, a pointer to a struct, from the variables whose
// names begin with prefix. A variable that is not set leaves its field alone;
// one that is set to nothing empties it. All faults are told at once.
func Load(env *Env, prefix string, dst any) error {
	var faults []error
	walk(prefix, reflect.ValueOf(dst).Elem(), func(s setting) {
		text, found, err := env.lookup(s)
		if err == nil && found {
			err = s.set(text)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.name, err))
		}
	})
	return errors.Join(faults...)
}

// setting is one field on its way to or from the environment.
type setting struct {
	name, meaning string
	secret        bool
	value         reflect.Value
}

// walk visits the settings of a struct in order. A field whose `env` tag ends
// in "_" is a struct of further settings with that prefix; an embedded struct
// without a tag has none of its own.
func walk(prefix string, v reflect.Value, visit func(setting)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, tagged := field.Tag.Lookup("env")
		switch {
		case !tagged && field.Anonymous, strings.HasSuffix(name, "_"):
			walk(prefix+name, v.Field(i), visit)
		case tagged:
			visit(setting{prefix + name, field.Tag.Get("desc"), field.Tag.Get("secret") == "true", v.Field(i)})
		}
	}
}

const fileSuffix = "_FILE"

// lookup finds a setting's text, in the environment or in the file named there.
func (env *Env) lookup(s setting) (text string, found bool, err error) {
	env.asked[s.name] = true
	text, found = env.values[s.name]
	if !s.secret {
		return text, found, nil
	}
	env.asked[s.name+fileSuffix] = true
	path, fromFile := env.values[s.name+fileSuffix]
	switch {
	case !fromFile:
		return text, found, nil
	case found:
		return "", false, fmt.Errorf("is given twice: keep it or %s%s, not both", s.name, fileSuffix)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		err = errors.Unwrap(err) // without the path, which may be the secret itself, put into the wrong variable
		return "", false, fmt.Errorf("%s can't be read: %w", fileSuffix, err)
	}
	return strings.TrimRight(string(content), "\r\n"), true, nil
}

var durationType = reflect.TypeFor[time.Duration]()

// set parses text into the field. Its errors don't repeat the text, which may
// be a secret that was put into the wrong variable.
func (s setting) set(text string) error {
	if target, ok := s.value.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if target.UnmarshalText([]byte(text)) != nil {
			return fmt.Errorf("it takes %s", s.meaning)
		}
		return nil
	}
	switch {
	case s.value.Type() == durationType:
		d, ok := ParseDuration(text)
		if !ok {
			return fmt.Errorf("give a duration such as 90s, 12h or 30d; %dd is the longest", longestDays)
		}
		s.value.SetInt(int64(d))
		return nil
	case s.value.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("give true or false")
		}
		s.value.SetBool(b)
		return nil
	case s.value.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("give a whole number")
		}
		s.value.SetInt(int64(n))
		return nil
	case s.value.Kind() == reflect.Slice:
		s.value.Set(reflect.ValueOf(splitList(text)))
		return nil
	}
	s.value.SetString(text)
	return nil
}

// splitList cuts a comma-separated list, without empty entries or outer blanks.
func splitList(text string) []string {
	var list []string
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
}

const (
	day         = 24 * time.Hour
	longestDays = int64(math.MaxInt64 / day) // some 292 years: a Duration holds no more
)

// ParseDuration reads Go's durations and whole days, such as "30d". What a
// Duration can't hold is no duration.
func ParseDuration(text string) (time.Duration, bool) {
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

// FormatDuration is ParseDuration's inverse in its shortest form: "30d", "12h".
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
