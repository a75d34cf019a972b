"""Who may use the bucket, and how: profiles, permissions, encryption, and what a run that is stopped leaves."""

import json
import os
import signal
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import etl
import rgw
from counting import Counter
from serving import Handler, serving

DAY = {"first": date(2024, 1, 2), "last": date(2024, 1, 2)}
NAME = "lake/" + etl.settlement(DAY["first"])
EXAMPLES = Path(__file__).parents[2] / "examples"


def with_profile(bucket, home, **env):
    """The bucket's settings without keys, and a home with profiles that have them."""
    aws = home / ".aws"
    aws.mkdir()
    keys = "aws_access_key_id = {}\naws_secret_access_key = {}\n"
    (aws / "credentials").write_text(
        "[default]\n" + keys.format("NOBODY", "wrong") + "\n[lake]\n" + keys.format(rgw.ACCESS_KEY, rgw.SECRET_KEY)
    )
    (aws / "config").write_text(
        f"[profile lake]\nregion = us-east-1\nendpoint_url = {bucket.env['AWS_ENDPOINT_URL']}\ns3 =\n  max_concurrent_requests = 4\n"
        "\n[profile sso]\nsso_start_url = https://example.com\nregion = us-east-1\n"
    )
    return {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **env}


def test_a_profile_gives_keys_region_and_endpoint(bucket, tmp_path):
    env = with_profile(bucket, tmp_path, AWS_PROFILE="lake")
    run = etl.backfill(bucket.url("lake"), env=env, **DAY)
    assert run.code == 0, run
    assert bucket.names() == [NAME]

    # the default profile's keys are wrong, and keys of the environment count before any profile
    env = {name: value for name, value in env.items() if name != "AWS_PROFILE"}
    status = etl.run("status", "--output", "json", "--dest", bucket.url("lake"), env=env | {"AWS_ENDPOINT_URL": bucket.env["AWS_ENDPOINT_URL"]})
    assert status.code == 7 and "InvalidAccessKeyId" in status.stderr, status
    status = etl.run("status", "--output", "json", "--dest", bucket.url("lake"), env=env | bucket.env | {"AWS_PROFILE": "sso"})
    assert status.code == 0, status


def test_a_profile_that_cannot_be_used_says_what_to_do(bucket, tmp_path):
    env = with_profile(bucket, tmp_path)
    for name, told in (("missing", "is in neither"), ("sso", "aws configure export-credentials --profile sso")):
        run = etl.backfill(bucket.url("lake"), env=env | {"AWS_PROFILE": name}, **DAY)
        assert run.code == 2 and run.result["requests"] == 0, run
        assert told in run.result["error"], run


class Keys(Handler):
    """Temporary keys as a container's agent and an instance's metadata service hand them out."""

    def do_PUT(self):
        # version 2 of the instance's service wants a token first
        assert self.path == "/latest/api/token"
        self.answer(200, b"instance-token")

    def do_GET(self):
        self.server.asked.append(self.path)
        expires = datetime.now(UTC) + timedelta(hours=1)
        keys = {
            "Code": "Success",
            "AccessKeyId": rgw.ACCESS_KEY,
            "SecretAccessKey": rgw.SECRET_KEY,
            "Token": "",
            "Expiration": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
        }
        self.answer(200, b"lake-role" if self.path.endswith("/security-credentials/") else json.dumps(keys).encode())


@pytest.fixture
def agent():
    with serving(Keys) as server:
        server.asked = []
        yield server


@pytest.mark.parametrize(
    ("setting", "path"),
    [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/keys"), ("AWS_METADATA_ENDPOINT", "")],
    ids=["container", "instance"],
)
def test_keys_come_from_the_container_or_the_instance(bucket, agent, tmp_path, setting, path):
    env = {name: value for name, value in bucket.env.items() if "KEY" not in name}
    (tmp_path / "token").write_text("pod-token")
    env |= {"HOME": str(tmp_path), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"), setting: agent.url + path}
    run = etl.backfill(bucket.url("lake"), env=env, **DAY)
    assert run.code == 0 and agent.asked, run
    assert bucket.names() == [NAME]
    assert rgw.SECRET_KEY not in run.stdout + run.stderr


def policy(bucket, *statements):
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def allow(bucket, user, *actions):
    resources = [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"]
    return {"Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]}, "Action": list(actions), "Resource": resources}


def test_who_may_not_list_is_stopped_before_the_api(gateway, bucket):
    env = bucket.env | gateway.user("stranger")
    run = etl.backfill(bucket.url("lake"), env=env, **DAY)
    assert run.code == 7 and (run.result["requests"], run.result["token_requests"]) == (0, 0), run
    assert "AccessDenied" in run.result["error"] and bucket.url("lake") in run.result["error"]


def test_who_may_only_read_sees_and_writes_nothing(gateway, bucket):
    env = bucket.env | gateway.user("reader")
    assert etl.backfill(bucket.url("lake"), env=bucket.env, **DAY).code == 0
    policy(bucket, allow(bucket, "reader", "s3:ListBucket", "s3:GetObject"))
    for command in (("status",), ("verify",)):
        read = etl.run(*command, "--dest", bucket.url("lake"), env=env)
        assert read.code == 0, read

    check = etl.run("check", "--output", "json", "--env", "simulator", "--dest", bucket.url("lake"), env=env)
    assert check.code == 7 and "AccessDenied" in check.stdout, check
    february = {"first": date(2024, 2, 1), "last": date(2024, 2, 29)}
    run = etl.backfill(bucket.url("lake"), "--concurrency", 1, env=env, **february)
    assert run.code == 7, run
    # five days in a row are enough to know
    assert run.result["requests"] <= 8 and run.result["dates"]["not_attempted"] >= 22, run
    assert all(failure["kind"] == "storage" and "AccessDenied" in failure["message"] for failure in run.result["failures"])
    assert bucket.names() == [NAME]


def test_days_are_encrypted_with_the_key_that_is_asked_for(bucket):
    env = bucket.env | {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": rgw.KMS_KEY}
    small = etl.backfill(bucket.url("lake"), env=env, **DAY)
    assert small.code == 0, small
    # large enough to go up in parts, and the old version is kept
    large = etl.backfill(bucket.url("lake"), "--sim-rows", "=1000000", "--refetch", "all", env=env, **DAY)
    assert large.code == 0, large
    assert len(bucket.names()) == 2
    for name in bucket.names():
        head = bucket.client.head_object(Bucket=bucket.name, Key=name)
        assert (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == ("aws:kms", rgw.KMS_KEY), name
    assert etl.Day(bucket.read(NAME)).is_sealed()
    verify = etl.run("verify", "--output", "json", "--dest", bucket.url("lake"), env=env)
    assert verify.code == 0, verify


def test_encryption_with_amazons_own_keys_is_asked_for(bucket):
    # this server knows no SSE-S3, and passes over it: what is asked of it is what counts
    with Counter(bucket.env["AWS_ENDPOINT_URL"]) as counter:
        env = bucket.env | {"AWS_ENDPOINT_URL": counter.endpoint, "AWS_SERVER_SIDE_ENCRYPTION": "AES256"}
        etl.backfill(bucket.url("lake"), env=env, **DAY)
        assert b"x-amz-server-side-encryption: AES256" in counter.heads


def stop_while_uploading(bucket, number):
    """Sends a signal to a run whose answer stalls once parts of its day are up."""
    big = ("--sim-rows", "=3000000", "--sim-fault", "stall")
    with open(os.devnull, "wb") as nothing:
        process = etl.start(*etl.backfill_args(bucket.url("lake"), *big, **DAY), env=bucket.env, stdout=nothing, stderr=nothing)
    try:
        deadline = time.monotonic() + 120
        while not bucket.uploads():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(number)
        code = process.wait(timeout=30)
        return code, time.monotonic() - began
    finally:
        process.kill()
        process.wait()


def test_a_signal_takes_the_parts_along(bucket):
    code, seconds = stop_while_uploading(bucket, signal.SIGTERM)
    assert code == 143 and seconds < 5, (code, seconds)
    assert bucket.uploads() == [], "no part is left to be paid for"
    assert bucket.names() == []


def test_what_a_killed_run_leaves_the_lifecycle_rule_clears(bucket):
    stop_while_uploading(bucket, signal.SIGKILL)
    assert bucket.uploads(), "nobody was there to abort it"
    rule = json.loads((EXAMPLES / "s3" / "lifecycle.json").read_text())
    bucket.client.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration=rule)
    [stored] = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert stored["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
