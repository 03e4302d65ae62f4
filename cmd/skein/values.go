package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// values says how the values of flags and arguments are read, so that what is
// refused is said in words and not in types of Go. A number below 0 is a value,
// not a flag: its own bounds refuse it, by name.
func values() []kong.Option {
	options := []kong.Option{kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readDuration))}
	for _, kind := range []reflect.Kind{reflect.Int, reflect.Int64, reflect.Uint64} {
		options = append(options, kong.KindMapper(kind, kong.MapperFunc(readNumber)))
	}
	return append(options, kong.KindMapper(reflect.String, kong.MapperFunc(readText)))
}

const (
	wantsNumber   = "a whole number, like 3"
	wantsDuration = "a length of time, like 90s, 36h or 1h30m"
)

func readNumber(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popValue(ctx.Scan, wantsNumber)
	if err != nil {
		return err
	}
	if target.CanUint() {
		var n uint64
		if n, err = strconv.ParseUint(text, 10, target.Type().Bits()); err == nil {
			target.SetUint(n)
		}
	} else {
		var n int64
		if n, err = strconv.ParseInt(text, 10, target.Type().Bits()); err == nil {
			target.SetInt(n)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is too large or too small", text)
	case target.CanUint() && isNumber(text):
		return fmt.Errorf("%s is below 0", text)
	}
	return fmt.Errorf("%q is refused: it must be %s", text, wantsNumber)
}

func readDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popValue(ctx.Scan, wantsDuration)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is refused: it must be %s", text, wantsDuration)
	}
	target.SetInt(int64(d))
	return nil
}

func readText(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popValue(ctx.Scan, "a value")
	if err != nil {
		return err
	}
	target.SetString(text)
	return nil
}

// popValue takes the next word of the command line, or the value of a file or
// variable.
func popValue(scan *kong.Scanner, wants string) (string, error) {
	token := scan.Peek()
	text := token.String()
	switch {
	case token.IsEOL():
		return "", fmt.Errorf("needs %s", wants)
	case !token.IsValue() && !isNumber(text):
		return "", fmt.Errorf("needs %s, and what follows is the flag %s", wants, text)
	}
	scan.Pop()
	if token.Type == kong.ShortFlagTailToken { // -n=3
		text = strings.TrimPrefix(text, "=")
	}
	return text, nil
}

// isNumber reports whether text, which begins as a flag does, is a number or a
// length of time below 0.
func isNumber(text string) bool {
	return len(text) > 1 && text[0] == '-' && text[1] >= '0' && text[1] <= '9'
}

// refuseEmpty refuses arguments and flags that were given without a word in
// them, as scripts do whose variable is not set: an empty filter would list
// everything, an empty name address something else. Text for people may be empty,
// and so may keys of the configuration, which have checks of their own.
func refuseEmpty(ctx *kong.Context) error {
	for _, at := range ctx.Path {
		switch {
		case at.Positional != nil && isEmpty(at.Positional):
			return fmt.Errorf("%s: must not be empty", "<"+at.Positional.Name+">")
		case at.Flag != nil && at.Flag.PlaceHolder != "TEXT" && len(at.Flag.Envs) == 0 && isEmpty(at.Flag.Value):
			return fmt.Errorf("--%s: must not be empty; leave it out instead", at.Flag.Name)
		}
	}
	return nil
}

func isEmpty(value *kong.Value) bool {
	return value.Target.Kind() == reflect.String && value.Target.Len() == 0
}

// refusal is a command line that was refused, and where the help of its command is.
func refusal(parsed *kong.Context, err error) error {
	why := err.Error()
	if flag, ok := strings.CutPrefix(why, "unknown flag "); ok && isNumber(flag) {
		flag, _, _ = strings.Cut(flag, ",")
		why = fmt.Sprintf("%s is refused here: a number below 0 is never right", flag)
	}
	words := []string{"skein"}
	for _, at := range parsed.Path {
		if at.Command != nil {
			words = append(words, at.Command.Name)
		}
	}
	return &usageError{fmt.Errorf("%s\n%s --help says what it takes", why, strings.Join(words, " "))}
}
