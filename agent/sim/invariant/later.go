package invariant

// Rules of the design that nothing in the product can break yet. They stand in
// the book so that Counters shows them unevaluated:
//
//   - I4, protected tasks: there is no protection. When there is, StopTasks of a
//     planner on a protected task breaks it, unless a hard deadline has come.
//   - I5, standalone tasks leave a draining host last: there is no draining.
//     When there is, StopTasks of a planner on a standalone task of a draining
//     host breaks it while a service's task to run is there.
//
// I12 and I14 come with patching and secrets. I15 is Desired
// with the simulator's count of passes.
