package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Env holds environment variables. It records the names of all settings that were
// looked up, so that [Env.Unknown] can return the variables that no setting uses.
type Env struct {
	values map[string]string
	known  map[string]bool // names of settings that were looked up
}

// NewEnv returns an Env with "NAME=value" lines, as os.Environ returns them.
func NewEnv(lines []string) *Env {
	env := &Env{values: make(map[string]string, len(lines)), known: map[string]bool{}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		env.values[name] = value
	}
	return env
}

// Load sets the fields of dst, a pointer to a struct, from the variables whose names
// begin with prefix. A field whose variable is not set keeps its value. A variable that is
// empty counts as set. The error lists every fault.
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

// setting is one field of a struct of settings.
type setting struct {
	name, meaning string
	secret        bool
	value         reflect.Value
}

// walk calls visit for each setting of a struct, in order. A field whose `env` tag ends
// in "_" is a struct of further settings, whose names have the tag as a further prefix.
// An embedded struct without a tag adds no prefix.
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

// lookup returns a setting's text, from the environment or from the file that the
// environment names.
func (env *Env) lookup(s setting) (text string, found bool, err error) {
	env.known[s.name] = true
	text, found = env.values[s.name]
	if !s.secret {
		return text, found, nil
	}
	env.known[s.name+fileSuffix] = true
	path, fromFile := env.values[s.name+fileSuffix]
	switch {
	case !fromFile:
		return text, found, nil
	case found:
		return "", false, fmt.Errorf("is given twice: keep it or %s%s, not both", s.name, fileSuffix)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		err = errors.Unwrap(err) // drops the path: it may be the secret itself, given in the wrong variable
		return "", false, fmt.Errorf("%s can't be read: %w", fileSuffix, err)
	}
	return strings.TrimRight(string(content), "\r\n"), true, nil
}

// advice is an error that says what value to give. It never repeats the invalid value.
type advice string

func (a advice) Error() string { return string(a) }

var durationType = reflect.TypeFor[time.Duration]()

// set parses text into the field. Its errors don't repeat the text, which may be a
// secret that was given in the wrong variable.
func (s setting) set(text string) error {
	if target, ok := s.value.Addr().Interface().(encoding.TextUnmarshaler); ok {
		err := target.UnmarshalText([]byte(text))
		if _, ok := err.(advice); err != nil && !ok {
			err = fmt.Errorf("give %s", s.meaning)
		}
		return err
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

// splitList splits a list at commas and, as files have them, at line ends. It drops empty
// entries and the white space around entries.
func splitList(text string) []string {
	var list []string
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
}
