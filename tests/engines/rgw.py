"""A real S3 server for the checks: Ceph's RADOS Gateway over one monitor and one OSD in memory.

Everything listens on loopback and lives in a temporary folder. The daemons stay children of this
process and die with it, however it ends.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from processes import die_with_parent

ACCESS_KEY = "CHECKS"
# a key of the gateway's own key store, for SSE-KMS
KMS_KEY = "lake-key"
SECRET_KEY = "a-secret/with+signs=0123456789"

CONFIG = """
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = v1:127.0.0.1:{mon_port}
ms_bind_msgr2 = false
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_class_update_on_start = false
osd_crush_update_on_start = false
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
run_dir = {home}
admin_socket =
pid_file =
log_file = {home}/$name.log
[mon]
mon_data = {home}/mon
# a monitor ends itself on a disk that is 95 % full, however many gigabytes are left
mon_data_avail_crit = 0
mon_data_avail_warn = 0
[osd]
osd_data = {home}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_memory_target = 939524096
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_data = {home}/rgw
rgw_enable_usage_log = false
rgw_thread_pool_size = 32
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = {kms_key}=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Gateway:
    """Starts on entry, ends on exit. `endpoint` is where it listens; `env` is for what dates the objects."""

    def __init__(self, env=None):
        self.endpoint, self._env = "", env or {}
        self._home = Path(tempfile.mkdtemp(prefix="rgw-"))
        self._daemons = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._print_logs()
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # the store is memory and the folder goes: nothing is worth an orderly end
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self):
        for folder in ("mon", "osd", "rgw"):
            (self._home / folder).mkdir()
        fsid, osd, port, mon_port = uuid.uuid4(), uuid.uuid4(), free_port(), free_port()
        config = self._home / "ceph.conf"
        config.write_text(CONFIG.format(fsid=fsid, home=self._home, port=port, mon_port=mon_port, kms_key=KMS_KEY))
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", self._home / "monmap")
        self._run("ceph-mon", "-c", config, "--mkfs", "-i", "a", "--monmap", self._home / "monmap")
        self._daemon("ceph-mon", "-c", config, "-i", "a")
        self._run("ceph", "-c", config, "--connect-timeout", 60, "osd", "new", osd)
        self._run("ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", osd)
        # an OSD that places itself may ask before it knows the cluster's id, and gives up
        self._run("ceph", "-c", config, "--connect-timeout", 60, "osd", "crush", "add", "osd.0", "1", "root=default")
        self._daemon("ceph-osd", "-c", config, "-i", "0")
        self._daemon("radosgw", "-c", config, "-n", "client.rgw", env=self._env)
        self.endpoint = f"http://127.0.0.1:{port}"
        self._wait_until_it_answers()
        self._create_user("checks", ACCESS_KEY, SECRET_KEY)

    def user(self, name):
        """Another user, who owns nothing; the settings that make a run theirs."""
        access_key, secret_key = name.upper(), f"{name}-secret-0123456789"
        self._create_user(name, access_key, secret_key)
        return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}

    def suspend(self, name):
        """Takes a user's keys out of use."""
        self._run("radosgw-admin", "-c", self._home / "ceph.conf", "user", "suspend", f"--uid={name}")
        return name

    def _create_user(self, name, access_key, secret_key):
        user = (f"--uid={name}", f"--display-name={name}", f"--access-key={access_key}", f"--secret-key={secret_key}")
        self._run("radosgw-admin", "-c", self._home / "ceph.conf", "user", "create", *user)

    def _wait_until_it_answers(self):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + 120
        while True:
            try:
                direct.open(self.endpoint, timeout=5).close()
                return
            except OSError:
                for daemon in self._daemons:
                    assert daemon.poll() is None, f"{' '.join(daemon.args)} ended with {daemon.returncode}"
                assert time.monotonic() < deadline, "the gateway did not answer in time"
                time.sleep(0.2)

    def _run(self, *command):
        command = [str(word) for word in command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=die_with_parent)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"

    def _daemon(self, *command, env=None):
        command = [str(word) for word in command] + ["-f"]
        with open(self._home / f"{command[0]}.out", "wb") as out:
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            self._daemons.append(subprocess.Popen(command, env=os.environ | (env or {}), **streams, preexec_fn=die_with_parent))

    def _print_logs(self):
        for log in sorted([*self._home.glob("*.out"), *self._home.glob("*.log")]):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-20:], sep="\n")
