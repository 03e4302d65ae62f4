// Package proxyproto reads and writes the header of the PROXY protocol, by which a relay
// tells the next who its client is. It owns no sockets and no decision whom to believe.
// Source: haproxy.org, The PROXY protocol, versions 1 and 2.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

const (
	// maxText is the longest header of version 1.
	maxText = 107
	// maxBinary bounds what follows the first 16 bytes of version 2: addresses and extensions.
	maxBinary = 2048
	fixed     = 16
)

// ErrMalformed says that a connection does not begin with a header.
var ErrMalformed = errors.New("malformed PROXY header")

var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Header is what a header says. Zero addresses: the relay speaks for itself, or does not
// know its client.
type Header struct {
	Source, Destination netip.AddrPort
}

// Parse reads the header that text begins with, of either version. It returns how long it
// is; 0 without an error: its end is not there yet. Errors: ErrMalformed.
func Parse(text []byte) (Header, int, error) {
	switch {
	case hasStart(text, signature):
		return parseBinary(text)
	case hasStart(text, []byte("PROXY ")):
		return parseText(text)
	default:
		return Header{}, 0, fmt.Errorf("%w: it begins with something else", ErrMalformed)
	}
}

// hasStart reports whether text begins with start as far as it goes.
func hasStart(text, start []byte) bool {
	n := min(len(text), len(start))
	return bytes.Equal(text[:n], start[:n])
}

func parseText(text []byte) (Header, int, error) {
	end := bytes.IndexByte(text[:min(len(text), maxText)], '\n')
	if end < 0 {
		if len(text) >= maxText {
			return Header{}, 0, fmt.Errorf("%w: it does not end", ErrMalformed)
		}
		return Header{}, 0, nil
	}
	if text[end-1] != '\r' {
		return Header{}, 0, fmt.Errorf("%w: it ends without a carriage return", ErrMalformed)
	}
	words := bytes.Split(text[:end-1], []byte{' '})
	if len(words) >= 2 && string(words[1]) == "UNKNOWN" {
		return Header{}, end + 1, nil
	}
	if len(words) != 6 {
		return Header{}, 0, fmt.Errorf("%w: it has %d words", ErrMalformed, len(words))
	}
	source, err := addrPort(words[1], words[2], words[4])
	if err != nil {
		return Header{}, 0, err
	}
	destination, err := addrPort(words[1], words[3], words[5])
	if err != nil {
		return Header{}, 0, err
	}
	return Header{source, destination}, end + 1, nil
}

func addrPort(family, addr, port []byte) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(string(addr))
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%w: %q is no address", ErrMalformed, addr)
	}
	if string(family) != "TCP4" && string(family) != "TCP6" || ip.Is4() != (string(family) == "TCP4") {
		return netip.AddrPort{}, fmt.Errorf("%w: %s is not of family %q", ErrMalformed, ip, family)
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %q is no port", ErrMalformed, port)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}

func parseBinary(text []byte) (Header, int, error) {
	if len(text) < fixed {
		return Header{}, 0, nil
	}
	length := int(binary.BigEndian.Uint16(text[14:16]))
	if text[12]>>4 != 2 || length > maxBinary {
		return Header{}, 0, fmt.Errorf("%w: version %d, %d bytes", ErrMalformed, text[12]>>4, length)
	}
	command := text[12] & 0xf
	if command > 1 {
		return Header{}, 0, fmt.Errorf("%w: command %d", ErrMalformed, command)
	}
	if len(text) < fixed+length {
		return Header{}, 0, nil
	}
	body := text[fixed : fixed+length]
	if command == 0 { // LOCAL: a check by the relay itself
		return Header{}, fixed + length, nil
	}
	header, err := parseAddresses(text[13], body)
	return header, fixed + length, err
}

func parseAddresses(family byte, body []byte) (Header, error) {
	size := 0
	switch family {
	case 0x11: // TCP over IPv4
		size = 4
	case 0x21: // TCP over IPv6
		size = 16
	default: // Unix sockets, datagrams, unspecified
		return Header{}, nil
	}
	if len(body) < 2*size+4 {
		return Header{}, fmt.Errorf("%w: its addresses are cut off", ErrMalformed)
	}
	source, _ := netip.AddrFromSlice(body[:size])
	destination, _ := netip.AddrFromSlice(body[size : 2*size])
	ports := body[2*size:]
	return Header{
		netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(ports[2:])),
	}, nil
}

// Append appends the header as version 2 has it.
func Append(dst []byte, h Header) []byte {
	dst = append(dst, signature...)
	source, destination := h.Source.Addr().Unmap(), h.Destination.Addr().Unmap()
	if !source.IsValid() || !destination.IsValid() {
		return append(dst, 0x20, 0, 0, 0)
	}
	if source.Is4() && destination.Is4() {
		dst = append(dst, 0x21, 0x11, 0, 12)
		dst = append(dst, source.AsSlice()...)
		dst = append(dst, destination.AsSlice()...)
	} else {
		from, to := source.As16(), destination.As16()
		dst = append(dst, 0x21, 0x21, 0, 36)
		dst = append(dst, from[:]...)
		dst = append(dst, to[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	return binary.BigEndian.AppendUint16(dst, h.Destination.Port())
}
