"""The manifests of examples/kubernetes: valid for the cluster, and what they run is accepted by the binary."""

import json
import shlex
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import etl

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes"
MANIFESTS = [manifest for path in sorted(FOLDER.glob("*.yaml")) for manifest in yaml.safe_load_all(path.read_text())]
VERSIONS = ("1.34", kubernetes_validate.latest_version())


def manifest(kind):
    [found] = [manifest for manifest in MANIFESTS if manifest["kind"] == kind]
    return found


def jobs():
    return {"CronJob": manifest("CronJob")["spec"]["jobTemplate"]["spec"], "Job": manifest("Job")["spec"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("found", MANIFESTS, ids=lambda found: found["kind"])
def test_the_cluster_knows_every_field(found, version):
    # strict: an unknown field is an error, and not passed over
    kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("kind", jobs())
def test_a_run_has_no_more_rights_than_it_needs(kind):
    pod = jobs()[kind]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = container["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"] and own["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert [volume["name"] for volume in pod["volumes"] if "emptyDir" in volume] == [mounts["/tmp"]]
    assert container["envFrom"] == [{"secretRef": {"name": "cookiepay-keys"}}]


@pytest.mark.parametrize(("kind", "action"), [("CronJob", "FailJob"), ("Job", "FailIndex")])
def test_what_another_attempt_cannot_change_is_not_attempted_again(kind, action):
    job = jobs()[kind]
    # Kubernetes accepts such a policy only for pods that it does not restart in place
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    ignored, given_up = job["podFailurePolicy"]["rules"]
    assert ignored["action"] == "Ignore" and ignored["onPodConditions"][0]["type"] == "DisruptionTarget"
    codes = given_up["onExitCodes"]
    assert (given_up["action"], codes["operator"], codes["values"]) == (action, "In", [2, 4, 5])
    assert codes["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    # FailIndex needs a limit for each index
    assert ("backoffLimitPerIndex" in job) == (action == "FailIndex")


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "merchants.toml"
    path.write_text(manifest("ConfigMap")["data"]["merchants.toml"])
    return path


KEYS = {"SEOUL_KEY": "one", "BUSAN_KEY": "two"}


def planned(args, settings, tmp_path):
    """Runs what a manifest runs, as a plan for a folder."""
    args = [word.replace("/etc/cookiepay-etl/merchants.toml", str(settings)) for word in args]
    run = etl.run(*args, "--dest", tmp_path / "lake", "--dry-run", "--output", "json", env=KEYS)
    assert run.code == 0, run
    return run.result


def test_the_daily_run_is_accepted(settings, tmp_path):
    [container] = jobs()["CronJob"]["template"]["spec"]["containers"]
    days = planned(container["args"], settings, tmp_path)["days"]
    assert {day["merchant_id"] for day in days} == {"your-first-api-id", "your-second-api-id"}
    assert days[0]["pay_date"] == "2024-01-01"


def test_every_index_is_a_shard_and_together_they_are_all_merchants(settings, tmp_path):
    job = jobs()["Job"]
    [container] = job["template"]["spec"]["containers"]
    assert container["command"] == ["sh", "-c"]
    [script] = container["args"]
    words = []
    for index in range(job["completions"]):
        # the shell does the sum, and prints what it would run
        shown = script.replace("exec cookiepay-etl", "printf '%s\\n'", 1)
        env = etl.ENVIRONMENT | {"JOB_COMPLETION_INDEX": str(index)}
        words.append(subprocess.run(["sh", "-c", shown], env=env, capture_output=True, text=True, check=True).stdout.split("\n")[:-1])
    shards = [args[args.index("--shard") + 1] for args in words]
    assert shards == [f"{number}/{job['completions']}" for number in range(1, job["completions"] + 1)]
    results = [planned([*args, "--to", "2020-01-05"], settings, tmp_path) for args in map(without_to, words)]
    merchants = [day["merchant_id"] for result in results for day in result["days"]]
    assert {merchant: merchants.count(merchant) for merchant in merchants} == {"your-first-api-id": 5, "your-second-api-id": 5}
    assert script.startswith("exec "), "SIGTERM must reach the run, and not a shell"


def without_to(args):
    at = args.index("--to")
    return args[:at] + args[at + 2 :]


def test_the_rate_budget_is_divided():
    job, settings = jobs()["Job"], manifest("ConfigMap")["data"]["merchants.toml"]
    args = shlex.split(job["template"]["spec"]["containers"][0]["args"][0])
    rate = int(args[args.index("--rate-limit") + 1])
    assert f"rate_limit = {rate * job['parallelism']}\n" in settings


def test_a_run_writes_nowhere_but_to_the_lake_and_to_tmp(settings, tmp_path):
    """On a root that is read-only, as a user without rights."""
    tmp, lake = tmp_path / "tmp", tmp_path / "lake"
    for folder in (tmp, lake):
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
    script = """
    set -eu
    cd /
    mount --bind "$LAKE" /mnt
    mount --bind "$PROGRAM" /media
    mount --bind "$TMP" /tmp
    mount -o remount,bind,ro /
    if touch /probe 2>/dev/null; then exit 99; fi
    exec setpriv --reuid 61234 --regid 61234 --clear-groups --no-new-privs --bounding-set=-all /media/etl \
        backfill --env simulator --from 2024-01-01 --to 2024-01-05 --rate-limit 0 --refetch all --dest /mnt
    """
    program = tmp_path / "program"
    program.mkdir(mode=0o755)
    (program / "etl").write_bytes(Path(etl.BINARY).read_bytes())
    (program / "etl").chmod(0o755)
    env = etl.ENVIRONMENT | {"TMP": str(tmp), "LAKE": str(lake), "PROGRAM": str(program)}
    for key in ("published", "unchanged"):
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["dates"][key] == 5, done
    assert not list(tmp.iterdir())
