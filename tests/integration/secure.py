"""Certificates made on the spot, and a daemon that speaks TLS."""
import http.client
import socket
import ssl
import subprocess

from daemon import Daemon


class Authority:
    """A CA in a folder, and what it signs."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = self.path("crt"), self.path("key")
        self.openssl("req", "-x509", *self.new_key(self.key), "-out", self.cert, "-days", "2", "-subj", f"/CN={name}")

    def path(self, kind, name=None):
        return str(self.folder / f"{name or self.name}.{kind}")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=30)

    def new_key(self, path, kind="ec"):
        of_kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else [kind]
        return ["-newkey", *of_kind, "-nodes", "-keyout", path]

    def sign(self, name, usage, days=2, kind="ec"):
        """(certificate, key)"""
        self.openssl("req", *self.new_key(self.path("key", name), kind), "-out", self.path("csr", name), "-subj", f"/CN={name}")
        with open(self.path("ext", name), "w") as f:
            f.write(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        self.openssl("x509", "-req", "-in", self.path("csr", name), "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
                     "-days", str(days), "-extfile", self.path("ext", name), "-out", self.path("crt", name))
        return self.path("crt", name), self.path("key", name)


class Secure(Daemon):
    scheme = "https"

    def __init__(self, ca, models, *flags, client=None):
        self.ca, self.client = ca, client
        super().__init__(models, *flags)

    def context(self, client=None):
        context = ssl.create_default_context(cafile=self.ca.cert)
        if client or self.client:
            context.load_cert_chain(*(client or self.client))
        return context

    def connect(self, timeout=30):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context())

    def serial(self, port=None):
        with socket.create_connection(("127.0.0.1", port or self.port), 30) as s:
            with self.context().wrap_socket(s, server_hostname="127.0.0.1") as t:
                return t.getpeercert()["serialNumber"]

    def curl(self, path, *args):
        return subprocess.run(["curl", "-sS", "--max-time", "20", *args, self.url + path], capture_output=True, timeout=30)
