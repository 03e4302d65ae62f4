package deployment

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Headers of a signed request to a webhook. The signature is "v1=" and the HMAC-SHA256,
// in hexadecimal, of the timestamp, a full stop and the body; the key is the content of
// the hook's secret file without white space around it.
const (
	HeaderTimestamp = "Skein-Timestamp" // Unix time in seconds
	HeaderSignature = "Skein-Signature"
)

// ErrSignature says that a request was not signed with the secret, or too long ago.
var ErrSignature = errors.New("signature does not fit")

// Sign returns the two headers' values for a body.
func Sign(secret []byte, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	return timestamp, "v1=" + hex.EncodeToString(mac(secret, timestamp, body))
}

// Verify is what a receiver asks: whether the headers' values were made with the secret
// for this body, at most tolerance before or after now.
func Verify(secret []byte, timestamp, signature string, body []byte, now time.Time, tolerance time.Duration) error {
	given, known := strings.CutPrefix(signature, "v1=")
	sum, err := hex.DecodeString(given)
	if !known || err != nil || !hmac.Equal(sum, mac(secret, timestamp, body)) {
		return fmt.Errorf("%s: %w", HeaderSignature, ErrSignature)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", HeaderTimestamp, ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return fmt.Errorf("%s is %s old, at most %s is taken: %w", HeaderTimestamp, age.Round(time.Second), tolerance,
			ErrSignature)
	}
	return nil
}

func mac(secret []byte, timestamp string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(timestamp))
	h.Write([]byte("."))
	h.Write(body)
	return h.Sum(nil)
}
