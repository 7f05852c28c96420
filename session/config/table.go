package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
)

// Row is one setting in the printed table.
type Row struct {
	Name    string
	Default string // empty means none
	Meaning string
	Secret  bool // may be given as Name_FILE
}

// Rows returns the settings of the struct that src points to. The values of its fields
// are the defaults.
func Rows(prefix string, src any) []Row {
	var rows []Row
	walk(prefix, reflect.ValueOf(src).Elem(), func(s setting) {
		rows = append(rows, Row{s.name, text(s.value), s.meaning, s.secret})
	})
	return rows
}

// text returns a value in the form that Load parses.
func text(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(value)
	case slog.Level:
		return strings.ToLower(value.String())
	case []string:
		return strings.Join(value, ",")
	}
	return fmt.Sprint(v.Interface())
}
