package dockercall_test

import "strings"

var (
	box     = strings.Repeat("b", 64)
	net     = strings.Repeat("n", 25)
	svc     = strings.Repeat("s", 25)
	image   = "sha256:" + strings.Repeat("1", 64)
	service = `{"Name":"h-aaaaaaa2-bbbbbbb2-r1","Labels":{"havre.env":"prod","havre.kind":"service","a":"b"},"TaskTemplate":{"ContainerSpec":{
		"Image":"` + image + `","Labels":{"x":"y"},"Command":["/a"],"Args":["b"],"Hostname":"web","Env":["A=b"],"Dir":"/w","User":"1:2","Init":true,
		"StopSignal":"SIGTERM","StopGracePeriod":10000000000,"TTY":true,"ReadOnly":true,"Mounts":[{"Type":"bind","Source":"/v","Target":"/t","ReadOnly":true},
		{"Type":"tmpfs","Target":"/m","TmpfsOptions":{"SizeBytes":1024,"Mode":1023}}],"Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Timeout":1,"StartPeriod":2,"Retries":3},
		"Configs":[{"File":{"Name":"/etc/x","UID":"0","GID":"0","Mode":292},"ConfigID":"` + svc + `","ConfigName":"h-c"}],"Secrets":[{"File":{"Name":"/run/secrets/x","UID":"33","GID":"0","Mode":256},"SecretID":"` + svc + `","SecretName":"h-s"}],"Isolation":"default",
		"CapabilityAdd":["CAP_CHOWN"],"CapabilityDrop":["ALL"],"DNSConfig":{"Nameservers":["192.0.2.53","2001:db8::1"],"Search":["example.org","."],"Options":["ndots:2"]},
		"Groups":["www","27"],"OpenStdin":true,"Hosts":["192.0.2.1 a.example","host-gateway b"],"Sysctls":{"net.core.somaxconn":"1024"},"Ulimits":[{"Name":"nofile","Hard":2,"Soft":1}]},"Resources":{"Limits":{"NanoCPUs":1,"MemoryBytes":2,"Pids":3},"Reservations":{"NanoCPUs":1,"MemoryBytes":2}},
		"RestartPolicy":{"Condition":"any","Delay":10000000,"MaxAttempts":3,"Window":1},"Placement":{"Constraints":["node.id==` + svc + `"],"MaxReplicas":1},
		"Networks":[{"Target":"` + net + `","Aliases":["web"]}],"LogDriver":{"Name":"local","Options":{"max-size":"10m"}},"ForceUpdate":2,"Runtime":"container"},
		"Mode":{"Replicated":{"Replicas":2}},"UpdateConfig":{"Parallelism":1,"Delay":1,"FailureAction":"pause","Monitor":1,"MaxFailureRatio":0,"Order":"start-first"},"EndpointSpec":{"Mode":"dnsrr"}}`
	create = `{"Hostname":"web","Domainname":"","User":"1:2","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,"Tty":true,"OpenStdin":false,"StdinOnce":false,
		"Env":["A=b"],"Cmd":["x"],"Entrypoint":[],"Image":"` + image + `","Volumes":null,"WorkingDir":"/w","OnBuild":null,"Labels":{"a":"b"},"StopSignal":"SIGTERM","StopTimeout":1,
		"HostConfig":{"DnsOptions":["ndots:1"],"Sysctls":{"net.ipv4.tcp_tw_reuse":"1"},"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"local","Config":{"max-size":"1m"}},"NetworkMode":"` + net + `","PortBindings":null,
		"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":true,"ConsoleSize":[0,0],"CapAdd":["CAP_CHOWN"],"CapDrop":["ALL"],"Privileged":false,"ReadonlyRootfs":true,
		"SecurityOpt":["no-new-privileges"],"Memory":1,"NanoCpus":2,"PidsLimit":3,"Init":true,"Mounts":[{"Type":"bind","Source":"/v","Target":"/t"}]},
		"NetworkingConfig":{"EndpointsConfig":{"` + net + `":{"IPAMConfig":null,"Links":null,"Aliases":["web"],"GwPriority":0,"DNSNames":null,"MacAddress":""}}}}`
)

type seed struct{ method, path, query, body string }

var seeds = []seed{
	{"GET", "/_ping", "", ""},
	{"HEAD", "/_ping", "", ""},
	{"GET", "/v1.41/version", "", ""},
	{"GET", "/v1.41/info", "", ""},
	{"GET", "/v1.41/events", `since=1.5&filters={"type":{"container":true},"event":{"die":true}}`, ""},
	{"POST", "/v1.41/networks/create", "", `{"Name":"h-aaaaaaa2-1","CheckDuplicate":true,"Driver":"overlay","Scope":"","IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"10.87.1.0/24","Gateway":"10.87.1.1"}]},"Internal":true,"Attachable":true,"Ingress":false,"ConfigOnly":false,"ConfigFrom":null,"Options":null,"Labels":{"havre.env":"prod"}}`},
	{"GET", "/v1.41/networks", `filters={"label":{"havre.kind":true}}`, ""},
	{"GET", "/v1.41/networks/" + net, "verbose=true", ""},
	{"DELETE", "/v1.41/networks/" + net, "", ""},
	{"POST", "/v1.41/networks/" + net + "/connect", "", `{"Container":"` + box + `","EndpointConfig":{"Aliases":["a"]}}`},
	{"POST", "/v1.41/networks/" + net + "/disconnect", "", `{"Container":"` + box + `","Force":true}`},
	{"POST", "/v1.41/services/create", "", service},
	{"GET", "/v1.41/services", "status=1", ""},
	{"GET", "/v1.41/services/" + svc, "insertDefaults=1", ""},
	{"POST", "/v1.41/services/" + svc + "/update", "version=7", service},
	{"DELETE", "/v1.41/services/" + svc, "", ""},
	{"GET", "/v1.41/tasks", `filters={"service":{"` + svc + `":true}}`, ""},
	{"POST", "/v1.41/containers/create", "name=h-portal-prod.1", create},
	{"GET", "/v1.41/containers/json", "all=1&limit=3", ""},
	{"GET", "/v1.41/containers/" + box + "/json", "", ""},
	{"POST", "/v1.41/containers/" + box + "/start", "", ""},
	{"POST", "/v1.41/containers/" + box + "/stop", "t=0", ""},
	{"DELETE", "/v1.41/containers/" + box, "force=1&v=1", ""},
	{"GET", "/v1.41/containers/" + box + "/stats", "stream=0&one-shot=1", ""},
	{"GET", "/v1.41/containers/" + box + "/logs", "stdout=1&stderr=1&follow=1&tail=10&since=1.000000001&timestamps=1", ""},
	{"POST", "/v1.41/containers/" + box + "/exec", "", `{"User":"1","Privileged":false,"Tty":true,"AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"DetachKeys":"","Env":["A=b"],"WorkingDir":"/w","Cmd":["sh","-c","a\nb"]}`},
	{"POST", "/v1.41/exec/" + box + "/start", "", `{"Detach":true,"Tty":true}`},
	{"POST", "/v1.41/exec/" + box + "/resize", "h=24&w=80", ""},
	{"GET", "/v1.41/exec/" + box + "/json", "", ""},
	{"GET", "/v1.41/images/json", "all=1", ""},
	{"GET", "/v1.41/images/havre.invalid/prod/a/b:1/json", "", ""},
	{"POST", "/v1.41/images/" + image + "/tag", "repo=havre.invalid/prod/a&tag=1", ""},
	{"DELETE", "/v1.41/images/havre.invalid/prod/a:1", "noprune=1", ""},
	{"POST", "/v1.41/configs/create", "", `{"Name":"h-aaaaaaa2-x","Labels":{},"Data":"aGVsbG8="}`},
	{"GET", "/v1.41/configs", "", ""},
	{"DELETE", "/v1.41/configs/" + svc, "", ""},
	{"POST", "/v1.41/secrets/create", "", `{"Name":"h-aaaaaaa2-x","Labels":{},"Data":"aGVsbG8="}`},
	{"GET", "/v1.41/secrets", "", ""},
	{"DELETE", "/v1.41/secrets/" + svc, "", ""},
	{"POST", "/havre/v1/swarm", "", `{}`},
	{"POST", "/havre/v1/volume", "", `{"environment":"prod","project":"aaaaaaa2","name":"data","image":"` + image + `","path":"/vol/rw","user":""}`},
	{"POST", "/havre/v1/volumes", "", `{"environment":"","project":""}`},
	{"POST", "/havre/v1/volume/rm", "", `{"environment":"prod","project":"aaaaaaa2","name":"data"}`},
	{"POST", "/havre/v1/volume/settle", "", `{"environment":"prod","project":"aaaaaaa2","name":"data"}`},
	{"POST", "/havre/v1/volume/usage", "", `{"environment":"prod","project":"aaaaaaa2","name":"data","most":1000}`},
	{"POST", "/havre/v1/volume/clean", "", `{"environment":"prod","project":"aaaaaaa2","name":"data","part":"log","keep":true}`},
	{"POST", "/havre/v1/conventions", "", `{"image":"` + image + `"}`},
	{"HEAD", "/v1.41/containers/" + box + "/archive", "path=/vol/rw", ""},
	{"GET", "/v1.41/containers/" + box + "/archive", "path=/a+b:c", ""},
	{"POST", "/havre/v1/portal", "", `{"environment":"prod"}`},
	{"POST", "/havre/v1/image/pull", "", `{"environment":"prod","image":"registry.example.org:5000/a/b:1"}`},
	{"POST", "/havre/v1/firewall", "", `{"ports":[7080]}`},
	{"POST", "/havre/v1/purge", "", `{}`},
	{"POST", "/havre/v1/holder", "", `{"port":25}`},
	{"POST", "/havre/v1/holder", "", `{"port":53,"protocol":"udp"}`},
	{"POST", "/havre/v1/foreign", "", `{"containers":["db"],"compose":"","stack":""}`},
	{"POST", "/havre/v1/foreign/tag", "", `{"image":"` + image + `","as":"havre.invalid/prod/a:1"}`},
	{"POST", "/havre/v1/foreign/switch", "", `{"container":"` + box + `","service":"","on":true}`},
	{"POST", "/havre/v1/foreign/data", "", `{"from":"shop_data","path":"","environment":"prod","project":"aaaaaaa2","name":"data","back":false}`},
	{"POST", "/havre/v1/foreign/rm", "", `{"container":"","service":"` + svc + `","volume":""}`},
}
