package http1

// Classes of bytes, as bits of the table.
const (
	tokenByte   = 1 << iota // of methods and names of fields. RFC 9110, 5.6.2
	valueByte               // of values of fields: visible, space, tab, and bytes above ASCII. RFC 9110, 5.5
	targetByte              // of a request target: visible, but no fragment; bytes above ASCII
	hostByte                // of a name of a host. RFC 3986, 3.2.2
	addressByte             // of an address between brackets
	hexByte
	digitByte
)

var class = makeClasses()

func makeClasses() (table [256]uint8) {
	for c := range 256 {
		b := byte(c)
		alpha := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		digit := b >= '0' && b <= '9'
		if alpha || digit || within(b, "!#$%&'*+-.^_`|~") {
			table[c] |= tokenByte
		}
		if b >= 0x20 && b != 0x7f || b == '\t' {
			table[c] |= valueByte
		}
		if b > 0x20 && b != 0x7f && b != '#' {
			table[c] |= targetByte
		}
		if alpha || digit || within(b, "-._~!$&'()*+,;=") {
			table[c] |= hostByte
		}
		hex := digit || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
		if hex {
			table[c] |= hexByte
		}
		if hex || b == ':' || b == '.' {
			table[c] |= addressByte
		}
		if digit {
			table[c] |= digitByte
		}
	}
	return table
}

func within(b byte, set string) bool {
	for i := range len(set) {
		if set[i] == b {
			return true
		}
	}
	return false
}

// all reports whether every byte of text is of the class.
func all(text []byte, bit uint8) bool {
	for _, b := range text {
		if class[b]&bit == 0 {
			return false
		}
	}
	return true
}

// lower is b as a small letter, if it is an ASCII letter.
func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

// EqualFold reports whether text is small, which is in small letters, without regard
// to the case of ASCII letters.
func EqualFold(text []byte, small string) bool {
	if len(text) != len(small) {
		return false
	}
	for i, b := range text {
		if lower(b) != small[i] {
			return false
		}
	}
	return true
}

// trim takes spaces and tabs off both ends.
func trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// elements calls each with every element of a comma-separated list that is not empty,
// until it returns false.
func elements(list []byte, each func([]byte) bool) {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		if element := trim(list[:end]); len(element) > 0 && !each(element) {
			return
		}
		list = list[min(end+1, len(list)):]
	}
}
