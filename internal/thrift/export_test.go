package thrift

// Pristine and Shed are Keep's halves.
var Pristine, Shed = pristine, shed
