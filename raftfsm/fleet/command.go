package fleet

// Command is one change of State. Only this package implements it.
type Command interface {
	// Kind names the command in the log for ever.
	Kind() Kind
	// apply changes s or returns an error and leaves s as it was.
	apply(s *State, x *applyContext) (ids []string, err error)
}

// Kind is a command's number in the log. Numbers are never reused.
type Kind uint16

// Entry is one entry of the log: a stamp and commands that are applied one by
// one, in order, each alone.
type Entry struct {
	At    Time // the proposer's clock; State.Now never goes back whatever it says
	Items []Item
}

// Item is a command with the facts that any command may carry.
type Item struct {
	Command Command
	Receipt *Receipt // set for operator writes with a client token
	By      string   // planner, operator or host that asked; becomes the Event's By
	Reason  string   // why, for people; becomes the Event's Message when not empty
}

// Receipt makes a retried write safe: the same token with the same body gets
// the first answer again, with another body it is refused (ErrReceiptReused).
type Receipt struct {
	Token    string `cbor:"1,keyasint"`
	BodyHash []byte `cbor:"2,keyasint"`
}

// Result is the outcome of one command.
type Result struct {
	IDs []string // what was made: "web:3", "web/2", task ids
	Err error    // a refusal; see errors.go for the sentinels
	// Dropped counts task reports that changed nothing because they were behind
	// what is recorded, or about tasks that are not the host's.
	Dropped int
	// Refused are the shares of a PlaceTasks that were refused. Only a leader
	// proposes that command, so it is not told to other voters.
	Refused []ShareRefusal
}

// Outcome is what applying an entry did.
type Outcome struct {
	Results   []Result
	ChangeSet ChangeSet
}
