package swarm

// What the tests of translations and parsers look at from inside.
var (
	Translate     = translate
	LookAt        = lookAt
	PortalRequest = portalContainer
	Fold          = fold
	Explain       = explain
)

// Material is what the guard gives for a portal.
type Material = material
