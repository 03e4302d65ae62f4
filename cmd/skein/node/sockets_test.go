package node

import "testing"

func TestNamesOfSocketsInTheStoreHaveNoColonsAndComeBack(t *testing.T) {
	for address, want := range map[string]string{
		":443": "443", "198.19.0.2:80": "198.19.0.2_80", "udp": "udp", "tcp": "tcp",
	} {
		if got := nameOf(address); got != want {
			t.Errorf("nameOf(%s) = %s, want %s", address, got, want)
		}
		if got := addressOf(want); got != address {
			t.Errorf("addressOf(%s) = %s, want %s", want, got, address)
		}
	}
}
