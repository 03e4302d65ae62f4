package config

import (
	"reflect"
	"strings"
)

// key is one key in its three spellings.
type key struct {
	path []string // in the file: ["containerd", "address"]
	flag string   // "containerd-address"
	kind reflect.Kind
}

var keys = keysOf(reflect.TypeFor[Config](), nil)

func keysOf(t reflect.Type, prefix []string) []key {
	var all []key
	for i := range t.NumField() {
		field := t.Field(i)
		path := append(append([]string(nil), prefix...), field.Tag.Get("toml"))
		if field.Type.Kind() == reflect.Struct {
			all = append(all, keysOf(field.Type, path)...)
			continue
		}
		all = append(all, key{path: path, flag: strings.ReplaceAll(strings.Join(path, "-"), "_", "-"),
			kind: field.Type.Kind()})
	}
	return all
}

// wanted says what the value of a key must be, as the file writes it; "" for an
// unknown key.
func wanted(name string) string {
	for _, k := range keys {
		if strings.Join(k.path, ".") == name {
			return map[reflect.Kind]string{
				reflect.String: `text in quotes, like "a"`,
				reflect.Int64:  "a whole number without quotes",
				reflect.Slice:  `a list of texts, like ["a", "b"]`,
				reflect.Map:    `a table of texts, like { disk = "ssd" }`,
			}[k.kind]
		}
	}
	return ""
}

// Keys lists every key as the file spells it, in the order of the struct.
func Keys() []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = strings.Join(k.path, ".")
	}
	return names
}

// Env is the environment variable of a flag: SKEIN_CONTAINERD_ADDRESS.
func Env(flag string) string {
	return "SKEIN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
