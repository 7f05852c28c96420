package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"tokengate/session/files"
)

// reader reads structs of settings from the environment, or from the variables of a file. It
// records the names of all settings, so that [reader.unknown] can return the variables that no
// setting uses.
type reader struct {
	variables map[string]string // of a file; nil means the environment
	label     string            // stands before the names of settings in errors
	known     map[string]bool
	apps      []string          // prefixes of the apps whose settings were read
	inDir     map[string]string // prefixes of the apps that have a file, with its path
	skipped   bool              // whether an app's settings were not read, because its name is missing or invalid
	files     []string          // that were read, or should have been
}

func newReader() *reader { return &reader{known: map[string]bool{}, inDir: map[string]string{}} }

// read sets the fields of settings, a pointer to a struct, from the variables whose names
// begin with prefix. A field whose variable is not set keeps its value. A variable that is
// empty counts as set. The error lists every fault.
func (r *reader) read(prefix string, settings any) error {
	if err := r.fill(prefix, settings); err != nil {
		return err
	}
	var faults []error
	for _, s := range settingsOf(prefix, reflect.ValueOf(settings).Elem()) {
		if err := r.finish(s); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// fill sets the fields of settings. Envconfig reads the environment only, so the variables of
// a file are set by the same methods that it calls.
func (r *reader) fill(prefix string, settings any) error {
	if r.variables == nil {
		if err := envconfig.Process(strings.TrimSuffix(prefix, "_"), settings); err != nil {
			return fmt.Errorf("%T has a field that can't hold every text", settings) // err repeats the value
		}
		return nil
	}
	for _, s := range settingsOf(prefix, reflect.ValueOf(settings).Elem()) {
		text, found := r.variables[s.name]
		if !found {
			continue
		}
		if decoder, ok := s.value.Addr().Interface().(envconfig.Decoder); !ok {
			s.value.SetString(text)
		} else if err := decoder.Decode(text); err != nil {
			return err
		}
	}
	return nil
}

// lookup returns a variable, and whether it is set.
func (r *reader) lookup(name string) (text string, found bool) {
	if r.variables == nil {
		return os.LookupEnv(name)
	}
	text, found = r.variables[name]
	return text, found
}

// finish reads a secret's file and returns the setting's fault, if it has one.
func (r *reader) finish(s setting) error {
	r.known[s.name] = true
	if s.secret() {
		r.known[s.name+fileSuffix] = true
		if err := r.readFile(s); err != nil {
			return fmt.Errorf("%s%s: %w", r.label, s.name, err)
		}
	}
	if err := s.fault(); err != nil {
		return fmt.Errorf("%s%s: %w", r.label, s.name, err)
	}
	if fault := s.tags.Get("empty"); fault != "" && s.value.IsZero() {
		return fmt.Errorf("%s%s %s", r.label, s.name, fault)
	}
	return nil
}

// setting is one field of a struct of settings.
type setting struct {
	name  string
	value reflect.Value
	tags  reflect.StructTag
}

// settingsOf returns the settings that envconfig reads into a struct, in order. envconfig
// lists them only by package text/template, which would make the program 8 MB larger.
func settingsOf(prefix string, settings reflect.Value) (found []setting) {
	for i := range settings.NumField() {
		field := settings.Type().Field(i)
		s := setting{prefix + variableName(field.Name), settings.Field(i), field.Tag}
		if _, leaf := s.value.Addr().Interface().(envconfig.Decoder); !leaf && field.Type.Kind() == reflect.Struct {
			found = append(found, settingsOf(s.name+"_", s.value)...)
		} else {
			found = append(found, s)
		}
	}
	return found
}

// wordEnd matches the end of one word of a field's name and the beginning of the next. A
// word that is all capitals, such as ID, ends before the last one.
var wordEnd = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)

// variableName returns the name that envconfig gives a field with the tag split_words.
func variableName(field string) string {
	return strings.ToUpper(wordEnd.ReplaceAllString(field, "${1}${3}_${2}${4}"))
}

const fileSuffix = "_FILE"

// secret reports whether the setting is a secret, which may be given in a file.
func (s setting) secret() bool {
	switch s.value.Interface().(type) {
	case Secret, Secrets:
		return true
	}
	return false
}

// readFile sets a secret to the content of the file that a variable names, if there is such a
// variable, without line ends behind it.
func (r *reader) readFile(s setting) error {
	path, fromFile := r.lookup(s.name + fileSuffix)
	if !fromFile {
		return nil
	}
	if _, found := r.lookup(s.name); found {
		return fmt.Errorf("is given twice: keep it or %s%s, not both", s.name, fileSuffix)
	}
	r.files = append(r.files, path)
	content, _, err := files.Read(path, maxFile)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", fileSuffix, err)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return fmt.Errorf("%s names an empty file: write the value to it", fileSuffix)
	}
	return s.value.Addr().Interface().(envconfig.Decoder).Decode(text)
}

// maxFile bounds a file of settings or of a secret, in bytes.
const maxFile = 1 << 20

// fault returns the error of a [Parsed] whose text is invalid.
func (s setting) fault() error {
	if parsed, ok := s.value.Addr().Interface().(interface{ fault() error }); ok {
		return parsed.fault()
	}
	return nil
}
