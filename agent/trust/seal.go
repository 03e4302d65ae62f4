package trust

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"strconv"

	"skein/raftfsm/fleet"
)

// keySize is the length of the fleet key and of a gossip key: AES-256.
const keySize = 32

// seal encrypts under the fleet key; the answer is nonce and ciphertext.
func seal(fleetKey Secret, plain, about []byte, chance io.Reader) ([]byte, error) {
	gcm, err := newGCM(fleetKey)
	if err != nil {
		return nil, err
	}
	nonce, err := randomBytes(chance, gcm.NonceSize())
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nonce, nonce, plain, about), nil
}

// open is the inverse of seal. It fails with ErrSealed, and says no more: the
// inputs are secret or hostile.
func open(fleetKey Secret, sealed, about []byte) (Secret, error) {
	gcm, err := newGCM(fleetKey)
	if err != nil {
		return nil, err
	}
	if len(sealed) < gcm.NonceSize() {
		return nil, ErrSealed
	}
	plain, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], about)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

func newGCM(key Secret) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("fleet key has %d bytes, want %d: %w", len(key), keySize, ErrSealed)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrSealed
	}
	return cipher.NewGCM(block)
}

// about is the additional data of a sealed field: the fleet and version it
// belongs to (cmd/skein/DESIGN.md "Init and join"), and which field it is, so that nothing sealed can be
// put in another place.
func about(id fleet.FleetID, version int, field string) []byte {
	return []byte("skein sealed keys\x00" + string(id) + "\x00" + strconv.Itoa(version) + "\x00" + field)
}

// SealKeys seals the CA's private key (PKCS 8, DER) and the gossip keys, the one
// in use first.
func SealKeys(
	fleetKey Secret, id fleet.FleetID, version int, caKey Secret, gossip []Secret, chance io.Reader,
) (fleet.SealedKeys, error) {
	ca, err := seal(fleetKey, caKey, about(id, version, "ca"), chance)
	if err != nil {
		return fleet.SealedKeys{}, fmt.Errorf("seal authority key: %w", err)
	}
	var ring []byte
	for _, key := range gossip {
		ring = append(ring, key...)
	}
	sealedRing, err := seal(fleetKey, ring, about(id, version, "gossip"), chance)
	if err != nil {
		return fleet.SealedKeys{}, fmt.Errorf("seal gossip keys: %w", err)
	}
	return fleet.SealedKeys{Version: version, CA: ca, Gossip: sealedRing}, nil
}

// OpenKeys is the inverse of SealKeys. ErrSealed when the fleet key, the fleet
// or the version is another.
func OpenKeys(fleetKey Secret, id fleet.FleetID, keys fleet.SealedKeys) (caKey Secret, gossip []Secret, err error) {
	caKey, err = open(fleetKey, keys.CA, about(id, keys.Version, "ca"))
	if err != nil {
		return nil, nil, fmt.Errorf("open authority key: %w", err)
	}
	ring, err := open(fleetKey, keys.Gossip, about(id, keys.Version, "gossip"))
	if err != nil {
		return nil, nil, fmt.Errorf("open gossip keys: %w", err)
	}
	gossip, err = splitRing(ring)
	if err != nil {
		return nil, nil, err
	}
	return caKey, gossip, nil
}

func splitRing(ring Secret) ([]Secret, error) {
	if len(ring) == 0 || len(ring)%keySize != 0 || len(ring) > maxGossipKeys*keySize {
		return nil, fmt.Errorf("gossip keys have %d bytes, want 1 to %d times %d: %w", len(ring), maxGossipKeys, keySize,
			ErrSealed)
	}
	var keys []Secret
	for at := 0; at < len(ring); at += keySize {
		keys = append(keys, ring[at:at+keySize:at+keySize])
	}
	return keys, nil
}
