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
	decoder = mustDecMode()
)

func mustEncMode() cbor.UserBufferEncMode {
	o := cbor.CoreDetEncOptions()
	o.TagsMd = cbor.TagsForbidden
	mode, err := o.UserBufferEncMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

func mustDecMode() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxElements,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

// Marshal encodes a value. Errors: ErrTooLarge, or a type that CBOR cannot hold.
func Marshal(v any) ([]byte, error) {
	b, err := encoder.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(b) > MaxFrame {
		return nil, fmt.Errorf("encode %T: %d bytes, at most %d are allowed: %w", v, len(b), MaxFrame, ErrTooLarge)
	}
	return b, nil
}

// Unmarshal decodes exactly one value into the pointer v. Errors: ErrTooLarge,
// ErrFormat naming an unknown field, ErrCorrupt.
func Unmarshal(b []byte, v any) error {
	if len(b) > MaxFrame {
		return fmt.Errorf("decode %T: %d bytes, at most %d are allowed: %w", v, len(b), MaxFrame, ErrTooLarge)
	}
	if err := decoder.Unmarshal(b, v); err != nil {
		return explain(b, v, err)
	}
	return nil
}

// explain makes a decoder's error one of ours.
func explain(b []byte, v any, err error) error {
	var unknown *cbor.UnknownFieldError
	if errors.As(err, &unknown) {
		return fmt.Errorf("decode %T: unknown field %s: %w", v, unknownField(b, reflect.TypeOf(v)), ErrFormat)
	}
	return fmt.Errorf("decode %T: %w: %w", v, err, ErrCorrupt)
}
