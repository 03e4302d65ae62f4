package wire_test

import (
	"net/netip"
	"reflect"
	"testing"

	"skein/raftfsm/fleet"
)

// fill sets every field of a value, all the way down, to something that is not
// zero: 1, "x", true, one element. A field that the codec forgets shows.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("10.0.0.9/24")))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("10.0.0.9")))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("10.0.0.1:7000")))
		return
	case fleet.Subject:
		v.Set(reflect.ValueOf(fleet.ServiceSubject("x")))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	default:
		panic("fill does not know " + v.Type().String())
	}
}

// filled is a command of a kind with every field set.
func filled(t testing.TB, k fleet.Kind) fleet.Command {
	t.Helper()
	c, ok, err := fleet.DecodeCommand(k, func(v any) error {
		fill(reflect.ValueOf(v).Elem())
		return nil
	})
	if !ok || err != nil {
		t.Fatalf("%s: %v, %v", k, ok, err)
	}
	return c
}

func receipt() *fleet.Receipt { return &fleet.Receipt{Token: "t", BodyHash: []byte{1}} }
