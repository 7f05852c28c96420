package config

import (
	"fmt"
	"reflect"
)

// Row is one setting in the printed table.
type Row struct {
	Name    string
	Default string // empty means none
	Meaning string
	Secret  bool // may be given as Name_FILE
}

// AllRows lists all settings with their defaults. <NAME> stands for an app's name.
func AllRows() []Row {
	process, app := DefaultProcess(), DefaultApp()
	return append(rows(Prefix, &process), rows(Prefix+"APP_<NAME>_", &app)...)
}

// rows returns the settings of a struct. The values of its fields are the defaults.
func rows(prefix string, settings any) (list []Row) {
	for _, s := range settingsOf(prefix, reflect.ValueOf(settings).Elem()) {
		list = append(list, Row{s.name, fmt.Sprint(s.value.Interface()), s.tags.Get("desc"), s.secret()})
	}
	return list
}
