package portal

// ImageOf lets tests make the image around a program they built themselves.
var ImageOf = imageOf
