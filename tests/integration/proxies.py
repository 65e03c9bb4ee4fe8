"""Real reverse proxies in front of a daemon, which give every request an id of theirs, on sockets of the file system: no port to choose."""
import os
import socket
import subprocess
import time

import debs
import pytest

NGINX = """{user} daemon off; pid {at}/pid; error_log {at}/errors;
events {{ }}
http {{
  access_log off; client_max_body_size 0;
  client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
  upstream daemon {{ server 127.0.0.1:{port}; keepalive 4; }}
  server {{
    listen unix:{at}/socket;
    location / {{ proxy_pass http://daemon; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Request-Id through-$request_id; proxy_request_buffering {buffering}; }}
  }}
}}
"""

HAPROXY = """global
  stats socket {at}/admin
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend door
  bind unix@{at}/socket
  default_backend daemon
backend daemon
  http-request set-header X-Request-Id through-%[uuid()]
  server one 127.0.0.1:{port}
"""


class Proxy:
    """A process that listens on `socket` in the folder `at`."""

    def __init__(self, at, command, config, env):
        self.at = str(at)
        self.path = os.path.join(self.at, "socket")
        with open(os.path.join(self.at, "config"), "w") as f:
            f.write(config)
        self.output = open(os.path.join(self.at, "output"), "wb")
        self.process = subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        env=env)
        end = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                running = self.process.poll() is None
                if not running or time.monotonic() > end:
                    self.stop()
                    raise AssertionError(self.said()) from None
                time.sleep(0.02)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(self.path)
        return s

    def said(self):
        text = ""
        for name in ("output", "errors"):
            if os.path.exists(os.path.join(self.at, name)):
                with open(os.path.join(self.at, name), errors="replace") as f:
                    text += f.read()[-2000:]
        return text

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.output.close()


def find(*program_and_packages):
    path, env = debs.program(*program_and_packages)
    if not path:
        pytest.skip(env)
    return path, env


def nginx(at, port, buffering="on"):
    program, env = find("nginx", "nginx")
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not write in our folder
    return Proxy(at, [program, "-p", str(at), "-c", os.path.join(str(at), "config"), "-e", os.path.join(str(at), "errors")],
                 NGINX.format(at=at, port=port, buffering=buffering, user=user), env)


def haproxy(at, port):
    program, env = find("haproxy", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
    return Proxy(at, [program, "-db", "-f", os.path.join(str(at), "config")], HAPROXY.format(at=at, port=port), env)
