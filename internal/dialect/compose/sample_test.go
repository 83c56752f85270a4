package compose_test

import "havre/internal/problem"

type problemOf = *problem.Problem

// structure is fields that only hold others, whose samples show them.
var structure = map[string]bool{
	"services": true, "services.*": true, "networks": true, "networks.*": true, "volumes": true, "volumes.*": true, "configs": true, "configs.*": true, "secrets": true, "secrets.*": true,
	"services.*.healthcheck": true, "services.*.depends_on.*": true, "services.*.networks": true, "services.*.networks.*": true,
	"services.*.volumes[].bind": true, "services.*.volumes[].volume": true, "services.*.volumes[].tmpfs": true,
	"services.*.ulimits": true, "services.*.logging": true,
	"services.*.deploy": true, "services.*.deploy.resources": true, "services.*.deploy.resources.limits": true,
	"services.*.deploy.resources.reservations": true, "services.*.deploy.restart_policy": true, "services.*.deploy.update_config": true, "services.*.deploy.rollback_config": true, "services.*.x-havre": true, "configs.*.x-havre": true,
}

type m = map[string]any

func build(name string, value any) m {
	return m{"services": m{"web": m{"build": m{name: value}}}}
}

func web(name string, value any) m { return m{"services": m{"web": m{name: value}}} }

func deploy(name string, value any) m { return web("deploy", m{name: value}) }

func resources(which, name string, value any) m {
	return deploy("resources", m{which: m{name: value}})
}

func port(name string, value any) m {
	p := m{"target": 80, name: value}
	return web("ports", []any{p})
}

func volume(name string, value any) m {
	v := m{"type": "volume", "source": "data", "target": "/data", name: value}
	return web("volumes", []any{v})
}

func health(name string, value any) m { return web("healthcheck", m{"test": "true", name: value}) }

func havre(name string, value any) m { return web("x-havre", m{name: value}) }

func config(name, value string) m {
	return m{"services": m{"web": m{"configs": []any{"thing"}}}, "configs": m{"thing": m{name: value}}}
}

func configHavre(name, value string) m {
	return m{"services": m{"web": m{"configs": []any{"thing"}}}, "configs": m{"thing": m{"content": "x", "x-havre": m{name: value}}}}
}

func configUse(name string, value any) m {
	return m{"services": m{"web": m{"configs": []any{m{"source": "thing", name: value}}}}, "configs": m{"thing": m{"content": "x"}}}
}

// secret is a file whose service mounts a secret.
func secret(use any, what m) m {
	return m{"services": m{"web": m{"secrets": []any{use}}}, "secrets": m{"thing": what}}
}

func secretUse(name string, value any) m {
	return secret(m{"source": "thing", name: value}, m{"file": "file.txt"})
}

// samples are files in which the field makes a difference.
var samples = map[string]m{
	"name": {"name": "other-name"},

	"include": {"include": []any{"more.yml"}}, "include[].path": {"include": []any{m{"path": "more.yml"}}},
	"include[].env_file":          {"include": []any{m{"path": "more.yml", "env_file": "file.env"}}},
	"include[].project_directory": {"include": []any{m{"path": "more.yml", "project_directory": "sub"}}},

	"configs.*.x-havre.name":   configHavre("name", "a/b"),
	"configs.*.x-havre.base64": configHavre("base64", "/w=="),

	"configs.*.file": config("file", "file.txt"), "configs.*.content": config("content", "x"), "configs.*.environment": config("environment", "GIVEN"),

	"secrets.*.file": secret("thing", m{"file": "file.txt"}), "secrets.*.environment": secret("thing", m{"environment": "GIVEN"}),
	"secrets.*.external": secret("thing", m{"external": true}), "secrets.*.name": secret("thing", m{"external": true, "name": "other"}),
	"services.*.secrets": secret("thing", m{"file": "file.txt"}), "services.*.secrets[].source": secretUse("source", "thing"),
	"services.*.secrets[].target": secretUse("target", "other"), "services.*.secrets[].uid": secretUse("uid", "33"),
	"services.*.secrets[].gid": secretUse("gid", "34"), "services.*.secrets[].mode": secretUse("mode", 256),

	"services.*.build": web("build", "."), "services.*.build.context": build("context", "sub"), "services.*.build.dockerfile": build("dockerfile", "other"),
	"services.*.build.args": build("args", m{"A": "b"}), "services.*.build.target": build("target", "last"), "services.*.build.no_cache": build("no_cache", true),
	"services.*.image": web("image", "other:1"), "services.*.pull_policy": web("pull_policy", "always"), "services.*.entrypoint": web("entrypoint", []any{"a"}), "services.*.command": web("command", "a b"),
	"services.*.environment": web("environment", m{"A": "b"}), "services.*.env_file": web("env_file", "file.env"),
	"services.*.env_file[].path": web("env_file", []any{m{"path": "file.env"}}), "services.*.env_file[].required": web("env_file", []any{m{"path": "none.env", "required": false}}),
	"services.*.user": web("user", "1000"), "services.*.working_dir": web("working_dir", "/srv"), "services.*.hostname": web("hostname", "h"),
	"services.*.labels": web("labels", m{"a": "b"}), "services.*.stop_signal": web("stop_signal", "SIGINT"), "services.*.stop_grace_period": web("stop_grace_period", "1m"),
	"services.*.read_only": web("read_only", true), "services.*.init": web("init", true), "services.*.restart": web("restart", "on-failure:3"),
	"services.*.profiles":        web("profiles", []any{"debug"}),
	"services.*.extends":         {"services": m{"web": m{"extends": "base"}, "base": m{"image": "base", "user": "5"}}},
	"services.*.extends.file":    {"services": m{"web": m{"extends": m{"file": "more.yml", "service": "base"}}, "base": m{"image": "base", "user": "5"}}},
	"services.*.extends.service": {"services": m{"web": m{"extends": m{"service": "base"}}, "base": m{"image": "base", "user": "5"}}},

	"services.*.healthcheck.test": health("test", []any{"CMD", "a"}), "services.*.healthcheck.interval": health("interval", "1s"),
	"services.*.healthcheck.timeout": health("timeout", "1s"), "services.*.healthcheck.retries": health("retries", 7),
	"services.*.healthcheck.start_period": health("start_period", "1s"), "services.*.healthcheck.disable": health("disable", true),

	"services.*.ports": web("ports", []any{"80:80"}), "services.*.ports[].target": port("target", 81), "services.*.ports[].published": port("published", "8080"),
	"services.*.ports[].protocol": port("protocol", "udp"), "services.*.ports[].host_ip": port("host_ip", "127.0.0.1"),
	"services.*.expose": web("expose", []any{"3000-3001"}), "services.*.networks.*.aliases": web("networks", m{"default": m{"aliases": []any{"w"}}}),

	"services.*.x-havre.domains":        havre("domains", []any{"www.example.org:8080"}),
	"services.*.x-havre.domains[].host": havre("domains", []any{m{"host": "www.example.org"}}), "services.*.x-havre.domains[].port": havre("domains", []any{m{"host": "a.org", "port": 5}}),
	"services.*.x-havre.domains[].tls":  havre("domains", []any{m{"host": "a.org", "tls": "passthrough"}}),
	"services.*.x-havre.domains[].path": havre("domains", []any{m{"host": "a.org", "path": "/mail"}}), "services.*.x-havre.path": havre("path", "/mail"),
	"services.*.x-havre.strip": havre("strip", true), "services.*.x-havre.redirect": havre("redirect", true), "services.*.x-havre.compress": havre("compress", false),
	"services.*.x-havre.scheme": havre("scheme", "h2c"), "services.*.x-havre.proxy": havre("proxy", "v2"), "services.*.x-havre.sticky": havre("sticky", "cookie"),
	"services.*.x-havre.check": havre("check", "/health"), "services.*.x-havre.check.path": havre("check", m{"path": "/health"}), "services.*.x-havre.body": havre("body", "100m"),
	"services.*.x-havre.check.every": havre("check", m{"path": "/health", "every": "5s"}), "services.*.x-havre.check.timeout": havre("check", m{"path": "/health", "timeout": "1s"}),
	"services.*.x-havre.users": havre("users", []any{"ann:$$2y$$05$$abcdefghijklmnopqrstuuJ4JxqYcPz0yQ0m0o2vYJ5lQ3t8Zr1eC"}), "services.*.x-havre.rate": havre("rate", "10/s"),
	"services.*.x-havre.rate.limit": havre("rate", m{"limit": "10/s"}), "services.*.x-havre.rate.burst": havre("rate", m{"limit": "10/s", "burst": 20}),
	"services.*.x-havre.access": havre("access", []any{"192.0.2.0/24", "2001:db8::1"}), "services.*.x-havre.links": havre("links", []any{"other:o"}),
	"services.*.x-havre.links[].to": havre("links", []any{m{"to": "other"}}), "services.*.x-havre.links[].alias": havre("links", []any{m{"to": "other", "alias": "o"}}),
	"services.*.x-havre.links[].ports":   havre("links", []any{m{"to": "other", "ports": []any{25}}}),
	"services.*.x-havre.keys":            havre("keys", []any{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"}),
	"services.*.x-havre.priority":        havre("priority", 5),
	"services.*.x-havre.certificate":     havre("certificate", "mail.example.org"),
	"services.*.x-havre.status":          havre("status", "disabled"),
	"services.*.x-havre.volumes":         havre("volumes", "shared"),
	"services.*.x-havre.init":            havre("init", []any{"/app/seed", "--all"}),
	"services.*.x-havre.upgrade":         havre("upgrade", []any{"/app/migrate", "--all"}),
	"services.*.x-havre.init.command":    havre("init", m{"command": []any{"/app/seed", "--all"}}),
	"services.*.x-havre.init.timeout":    havre("init", m{"timeout": "5m"}),
	"services.*.x-havre.upgrade.command": havre("upgrade", m{"command": []any{"/app/migrate", "--all"}}),
	"services.*.x-havre.upgrade.timeout": havre("upgrade", m{"command": "/app/migrate", "timeout": "5m"}),

	"services.*.volumes": web("volumes", []any{"data:/data"}), "services.*.volumes[].type": web("volumes", []any{m{"type": "tmpfs", "target": "/run"}}),
	"services.*.volumes[].source": volume("source", "data"), "services.*.volumes[].target": volume("target", "/x"), "services.*.volumes[].read_only": volume("read_only", true),
	"services.*.volumes[].tmpfs.size": web("volumes", []any{m{"type": "tmpfs", "target": "/run", "tmpfs": m{"size": 65536}}}),
	"services.*.tmpfs":                web("tmpfs", "/run:size=64m"), "services.*.shm_size": web("shm_size", "64m"),
	"services.*.configs": config("content", "y"), "services.*.configs[].source": configUse("source", "thing"),
	"services.*.configs[].target": configUse("target", "/etc/thing"), "services.*.configs[].uid": configUse("uid", "33"), "services.*.configs[].gid": configUse("gid", "34"), "services.*.configs[].mode": configUse("mode", 256),

	"services.*.depends_on": web("depends_on", []any{"other"}), "services.*.depends_on.*.condition": web("depends_on", m{"other": m{"condition": "service_completed_successfully"}}),
	"services.*.depends_on.*.required": web("depends_on", m{"missing": m{"condition": "service_started", "required": false}}), "services.*.links": web("links", []any{"other"}),

	"services.*.ulimits.*": web("ulimits", m{"nofile": 5}), "services.*.ulimits.*.soft": web("ulimits", m{"nofile": m{"soft": 5, "hard": 9}}),
	"services.*.ulimits.*.hard": web("ulimits", m{"nofile": m{"soft": 0, "hard": 9}}), "services.*.cap_drop": web("cap_drop", []any{"CAP_CHOWN"}),
	"services.*.cap_add": {"services": m{"web": m{"cap_drop": []any{"ALL"}, "cap_add": []any{"chown"}}}}, "services.*.sysctls": web("sysctls", m{"net.core.somaxconn": 5}),
	"services.*.group_add": web("group_add", []any{"www", 27}), "services.*.tty": web("tty", true), "services.*.stdin_open": web("stdin_open", true),
	"services.*.dns": web("dns", "192.0.2.53"), "services.*.dns_opt": web("dns_opt", []any{"ndots:2"}), "services.*.dns_search": web("dns_search", "example.org"),
	"services.*.extra_hosts": web("extra_hosts", []any{"a=192.0.2.1"}), "services.*.label_file": web("label_file", "file.env"),
	"services.*.logging.driver": web("logging", m{"driver": "json-file"}), "services.*.logging.options": web("logging", m{"options": m{"max-size": "1m"}}),

	"services.*.scale": web("scale", 2), "services.*.mem_limit": web("mem_limit", "64m"), "services.*.mem_reservation": web("mem_reservation", "64m"),
	"services.*.domainname": web("domainname", "example.org"), "services.*.cpu_quota": web("cpu_quota", 50000),
	"services.*.cpu_period": m{"services": m{"web": m{"cpu_quota": 50000, "cpu_period": 200000}}},
	"services.*.cpus":       web("cpus", 0.1), "services.*.pids_limit": web("pids_limit", 9),
	"services.*.deploy.update_config.order": deploy("update_config", m{"order": "stop-first"}),
	"services.*.deploy.replicas":            deploy("replicas", 2), "services.*.deploy.restart_policy.condition": deploy("restart_policy", m{"condition": "none"}),
	"services.*.deploy.restart_policy.max_attempts": deploy("restart_policy", m{"condition": "on-failure", "max_attempts": 3}),
	"services.*.deploy.resources.limits.cpus":       resources("limits", "cpus", "0.5"), "services.*.deploy.resources.limits.memory": resources("limits", "memory", "64m"),
	"services.*.deploy.resources.limits.pids": resources("limits", "pids", 9), "services.*.deploy.resources.reservations.cpus": resources("reservations", "cpus", "0.5"),
	"services.*.deploy.resources.reservations.memory": resources("reservations", "memory", "64m"),
}
