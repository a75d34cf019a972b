"""The machine with other /etc, /usr and /var, for daemons that want to be installed.

A mount namespace: what is written there lies in memory, is seen by the namespace alone, and ends with it.
Processes, the network and all other folders are the machine's.
"""

import os
import shlex
import subprocess

import etl
from processes import die_with_parent
from simulator import MERCHANT

USER, UID = "cookiepay", 61234
SYNC = ("--config", "/etc/cookiepay-etl/etl.toml", "sync", "-q")

SETUP = f"""
set -eu
mount -t tmpfs none "$MACHINE"
for folder in etc usr var; do
    mkdir -p "$MACHINE/$folder/upper" "$MACHINE/$folder/work"
    mount -t overlay none -o "lowerdir=/$folder,upperdir=$MACHINE/$folder/upper,workdir=$MACHINE/$folder/work" "/$folder"
done
mount -t tmpfs none /run
echo '{USER}:x:{UID}:{UID}::/var/lib/cookiepay:/usr/sbin/nologin' >>/etc/passwd
echo '{USER}:*:19000::::::' >>/etc/shadow
echo '{USER}:x:{UID}:' >>/etc/group
cp "$BINARY" /usr/local/bin/cookiepay-etl
mkdir -p /var/lib/cookiepay /etc/cookiepay-etl
mount --bind "$STATE" /var/lib/cookiepay
printf '%s' "$SETTINGS" >/etc/cookiepay-etl/etl.toml
(umask 077; printf '%s' "$KEY" >/etc/cookiepay-etl/api-key)
chown {USER}: /etc/cookiepay-etl/api-key
"""


class Machine:
    """`state` is its /var/lib/cookiepay, from outside."""

    def __init__(self, home, url, key):
        self.state = home / "state"
        self._memory = home / "memory"
        for folder in (self.state, self._memory):
            folder.mkdir()
        os.chown(self.state, UID, UID)
        settings = f'api_id = "{MERCHANT}"\napi_key_file = "/etc/cookiepay-etl/api-key"\nbase_url = "{url}"\ndest = "/var/lib/cookiepay/lake"\n'
        (self.state / "lake").mkdir()
        os.chown(self.state / "lake", UID, UID)
        self.key, self._settings = key, settings

    def start(self, script, **streams):
        """Runs a shell script in a new namespace; what it execs is the process that is returned."""
        env = {"MACHINE": self._memory, "STATE": self.state, "BINARY": etl.BINARY, "KEY": self.key, "SETTINGS": self._settings}
        env = {"PATH": etl.ENVIRONMENT["PATH"], "TZ": "UTC"} | {name: str(value) for name, value in env.items()}
        command = ["unshare", "--mount", "sh", "-c", SETUP + script]
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, encoding="utf-8", preexec_fn=die_with_parent, **streams)

    def run(self, script, timeout=60):
        with self.start(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return etl.Run(["sh", "-c", script], process.returncode, stdout, stderr, 0)


def as_user(*command):
    """A script that ends by running a command as the job's user."""
    return f"exec setpriv --reuid {UID} --regid {UID} --clear-groups {shlex.join(command)}"
