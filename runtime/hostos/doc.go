// Package hostos reads facts of this machine: boot id, cpus, memory, kernel, OS
// image, disk space, who has a port, and how late this process gets to run.
//
// Facts are small functions of files; [Machine] says where those files are, so
// that a lab host or a test can have its own. Nothing here changes the machine.
// Units: memory and disk in MiB.
package hostos
