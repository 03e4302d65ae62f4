package wire

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Limits of every value. A Report of 10,000 tasks and a list of 20,000 hosts
// fit; neither depth nor length is ever near in what this build writes.
const (
	MaxFrame    = 4 << 20 // bytes of one value: a frame, an entry
	maxDepth    = 32
	maxElements = 32_768
)

// Sentinels.
var (
	ErrFormat   = errors.New("format is not known to this build")
	ErrCorrupt  = errors.New("damaged")
	ErrTooLarge = errors.New("too large")
)

var (
	encoder = mustEncMode()
	strict  = mustDecMode(cbor.ExtraDecErrorUnknownField)
	lenient = mustDecMode(cbor.ExtraDecErrorNone)
)

func mustEncMode() cbor.UserBufferEncMode {
	o := cbor.CoreDetEncOptions()
	o.TagsMd = cbor.TagsForbidden
	o.TextMarshaler = cbor.TextMarshalerTextString
	mode, err := o.UserBufferEncMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

func mustDecMode(extra cbor.ExtraDecErrorCond) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxElements,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: extra,
		UTF8:              cbor.UTF8RejectInvalid,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

// Marshal encodes a message or a part of a file, which Unmarshal reads. Errors:
// ErrTooLarge, or a type that CBOR cannot hold.
func Marshal(v any) ([]byte, error) {
	b, err := marshalStrict(v)
	if err != nil {
		return nil, err
	}
	return withNextField(v, b), nil
}

// marshalStrict is Marshal for what all voters must read alike.
func marshalStrict(v any) ([]byte, error) {
	b, err := encoder.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(b) > MaxFrame {
		return nil, fmt.Errorf("encode %T: %d bytes, at most %d are allowed: %w", v, len(b), MaxFrame, ErrTooLarge)
	}
	return b, nil
}

// Unmarshal decodes exactly one value into the pointer v, which it sets as a
// whole. Fields that its type does not have are skipped, since a newer agent may
// have written them, but what they hold is checked: see checkSkipped. Errors:
// ErrTooLarge, ErrCorrupt.
func Unmarshal(b []byte, v any) error {
	b = withoutNextField(b)
	err := decode(strict, b, v)
	var unknown *cbor.UnknownFieldError
	if !errors.As(err, &unknown) {
		return err
	}
	if err := checkSkipped(b); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, err, ErrCorrupt)
	}
	reflect.ValueOf(v).Elem().SetZero()
	return decode(lenient, b, v)
}

// unmarshalStrict is Unmarshal for what all voters must read alike: it refuses a
// field that it does not know. Errors: also ErrFormat, naming that field.
func unmarshalStrict(b []byte, v any) error { return explain(b, v, decode(strict, b, v)) }

func decode(mode cbor.DecMode, b []byte, v any) error {
	if len(b) > MaxFrame {
		return fmt.Errorf("decode %T: %d bytes, at most %d are allowed: %w", v, len(b), MaxFrame, ErrTooLarge)
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, err, ErrCorrupt)
	}
	return nil
}

// explain makes of a decoder's error that it met an unknown field one that names
// the field.
func explain(b []byte, v any, err error) error {
	var unknown *cbor.UnknownFieldError
	if errors.As(err, &unknown) {
		return fmt.Errorf("decode %T: unknown field %s: %w", v, unknownField(b, reflect.TypeOf(v)), ErrFormat)
	}
	return err
}
