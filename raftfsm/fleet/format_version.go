package fleet

// ClosedFormat is the newest format that agents run with somewhere, so that nothing may
// be added to it any more; 0 while there is none. What is added later is of the next
// one. To close a format, see DESIGN.md, Formats.
const ClosedFormat = 1

// codeFormat is the newest format that this code knows: ClosedFormat, and one more as
// soon as anything was added to that.
const codeFormat = 2

// FormatVersion is the newest format that this build reads. What it may propose is
// said by Fleet.Format, which is raised once every agent reads more: see Gate.
//
// What an agent reads is a property of the agent, not of the program: functions that
// agents of two builds share in one process (in tests and in the simulator) take it
// as a parameter, always called reads. See AsRead and State.Outgrown.
const FormatVersion = codeFormat + nextFormats
