package guardtest

// Bodies are requests that pass, for scripts to make worse. Variables are
// put in when they are sent.
func Bodies() map[string]string {
	return map[string]string{
		"network.json": networkBody, "service.json": serviceBody, "carrier.json": carrierBody, "portal.json": portalBody,
		"link.json": linkBody, "exec.json": execBody, "config.json": configBody, "secret.json": secretBody, "volume.json": volumeBody,
	}
}

// Link is a link network that every world has.
type Link struct {
	Var                          string // what scripts call it
	Environment, Project, Target string
	Subnet                       string
}

// Links are those of this project, to it, to another service of it, and one in
// another environment. The service of service.json is the second one's target.
func Links() []Link {
	return []Link{
		{"LINKOUT", "prod", project, "ddddddd2.eeeeeee2", "10.87.11.0/24"},
		{"LINKIN", "prod", "ddddddd2", project + ".ccccccc2", "10.87.12.0/24"},
		{"LINKFAR", "prod", "ddddddd2", project + ".eeeeeee2", "10.87.13.0/24"},
		{"LINKQUALIF", "qualif", project, "ddddddd2.eeeeeee2", "10.87.14.0/24"},
	}
}

const networkBody = `{
	"Name": "h-ddddddd2-1", "Driver": "overlay", "Attachable": true,
	"IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "10.87.9.0/24"}]},
	"Labels": {"havre.env": "prod", "havre.project": "ddddddd2", "havre.kind": "network"}
}`

const linkBody = `{
	"Name": "h-ddddddd2-2", "Driver": "overlay",
	"IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "10.87.10.0/24"}]},
	"Labels": {"havre.env": "prod", "havre.project": "ddddddd2", "havre.kind": "link", "havre.link": "aaaaaaa2.bbbbbbb2"}
}`

const serviceBody = `{
	"Name": "h-$PROJECT-ccccccc2-r1",
	"Labels": {"havre.env": "prod", "havre.project": "$PROJECT", "havre.service": "ccccccc2", "havre.rollout": "1", "havre.kind": "service"},
	"TaskTemplate": {
		"ContainerSpec": {
			"Image": "$IMAGE",
			"Env": ["A=b"],
			"Mounts": [{"Type": "bind", "Source": "$DATA/volume/prod/$PROJECT/data", "Target": "/vol/rw"}]
		},
		"Networks": [{"Target": "$NET", "Aliases": ["web"]}],
		"LogDriver": {"Name": "local", "Options": {"max-size": "10m", "max-file": "3"}}
	},
	"Mode": {"Replicated": {"Replicas": 0}},
	"EndpointSpec": {"Mode": "dnsrr"}
}`

const carrierBody = `{
	"Image": "$IMAGE", "Entrypoint": ["/never-started"],
	"Labels": {"havre.env": "prod", "havre.project": "$PROJECT", "havre.service": "$SERVICE", "havre.kind": "carrier"},
	"HostConfig": {"NetworkMode": "none", "Mounts": []}
}`

const portalBody = `{
	"Image": "$PORTALIMAGE", "User": "$PORTALUSER:$GROUP",
	"Labels": {"havre.env": "prod", "havre.kind": "portal"},
	"HostConfig": {
		"NetworkMode": "$NET", "ReadonlyRootfs": true, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "DnsOptions": ["ndots:1"], "Memory": 33554432,
		"Sysctls": {"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "1024 65000", "net.ipv4.tcp_tw_reuse": "1"},
		"RestartPolicy": {"Name": "on-failure"},
		"Mounts": [{"Type": "bind", "Source": "$DATA/portal/prod", "Target": "/portal"}]
	}
}`

const execBody = `{"Cmd": ["/app", "print", "hello"], "AttachStdout": true, "AttachStderr": true}`

const configBody = `{
	"Name": "h-$PROJECT-motd", "Data": "aGVsbG8=",
	"Labels": {"havre.env": "prod", "havre.project": "$PROJECT", "havre.kind": "config"}
}`

const secretBody = `{
	"Name": "h-$PROJECT-token", "Data": "aHVudGVyMg==",
	"Labels": {"havre.env": "prod", "havre.project": "$PROJECT", "havre.kind": "secret"}
}`

const volumeBody = `{"environment": "prod", "project": "$PROJECT", "name": "data", "image": "$IMAGE", "path": "/vol/rw", "user": "1000"}`
